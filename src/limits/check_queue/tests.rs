use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A simulation in which every step finishes at once, and every probe finds that the app does not work, unless the
/// vendor accepts its namespace.
#[derive(Default)]
struct Simulation {
    checks: CheckQueue<&'static str>,
    now: Mono,
    log: Vec<(Mono, &'static str, CheckStep)>,
    requests: HashMap<&'static str, (&'static str, CheckRequest)>,
    /// A namespace whose apps the vendor accepts.
    accepted: &'static str,
}

fn account(number: i64) -> AccountId {
    AccountId { sdk_app_id: number, host: "chat:443".to_owned() }
}

/// A name with static lifetime.
fn name(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Simulation {
    fn add(&mut self, namespace: &'static str, app: &'static str, number: i64, step: CheckStep) {
        let request = CheckRequest { is_broken: false, step, account: account(number) };
        self.requests.insert(app, (namespace, request));
        self.join(app);
    }

    fn join(&mut self, app: &'static str) {
        let (namespace, request) = self.requests[app].clone();
        self.checks.push(namespace, &app, request, self.now);
    }

    /// After its first step, each app queues for the second. A broken app queues for another check at once.
    fn run_until(&mut self, end: Mono) {
        while self.now < end {
            match self.checks.next(self.now) {
                NextCheck::Empty => self.now = end,
                NextCheck::At(moment) => {
                    assert!(moment > self.now, "endless rechecks");
                    self.now = moment;
                }
                NextCheck::Ready(app) => {
                    let step = self.requests[app].1.step;
                    self.checks.start(&app, self.now);
                    self.log.push((self.now, app, step));
                    let (namespace, request) = self.requests.get_mut(app).unwrap();
                    if step == CheckStep::Probe && *namespace == self.accepted {
                        self.checks.on_accepted(namespace);
                        continue;
                    }
                    match step {
                        CheckStep::ReadSecret => request.step = CheckStep::Probe,
                        CheckStep::Probe => (request.step, request.is_broken) = (CheckStep::ReadSecret, true),
                    }
                    self.join(app);
                }
            }
        }
    }

    fn first(&self, app: &str, step: CheckStep) -> Mono {
        self.log
            .iter()
            .find(|(_, one, taken)| *one == app && *taken == step)
            .expect("the app took the step")
            .0
    }

    /// Whether no second contains six steps.
    fn is_five_a_second(&self) -> bool {
        self.log.windows(6).all(|six| six[5].0 > six[0].0 + Duration::from_secs(1))
    }
}

fn crowd(
    simulation: &mut Simulation,
    namespace: &'static str,
    apps: i64,
    step: CheckStep,
    number: impl Fn(i64) -> i64,
) {
    for app in 0..apps {
        simulation.add(namespace, name(format!("{namespace}-{app:05}")), number(app), step);
    }
}

#[test]
fn three_thousand_apps_of_one_namespace_cost_five_steps_a_second_for_ever() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "greedy", 3000, CheckStep::ReadSecret, |app| app);
    simulation.run_until(Mono::START + Duration::from_mins(30));
    assert!(simulation.is_five_a_second());
    let steps = simulation.log.len();
    assert!((8000..=9000).contains(&steps), "{steps} steps in half an hour: the rate limit is used up");
}

#[test]
fn a_newcomer_elsewhere_is_checked_within_a_second() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "greedy", 3000, CheckStep::ReadSecret, |app| app);
    for moment in [3, 600, 3600].map(Duration::from_secs) {
        simulation.run_until(Mono::START + moment);
        let (app, asked) = (name(format!("new-{}", moment.as_secs())), simulation.now);
        simulation.add("neighbour", app, 100_000, CheckStep::ReadSecret);
        simulation.run_until(asked + Duration::from_secs(1));
        let called = simulation.first(app, CheckStep::Probe);
        assert!(called <= asked + 4 * CHECK_SPACING, "{app}: {called:?}, asked for at {asked:?}");
        simulation.checks.remove(&app);
    }
}

#[test]
fn who_was_never_looked_at_goes_before_those_that_are_broken_and_a_check_is_finished_before_the_next() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "a", 3, CheckStep::ReadSecret, |app| app);
    simulation.run_until(Mono::START + 7 * CHECK_SPACING);
    simulation.add("a", "late", 9, CheckStep::ReadSecret);
    simulation.run_until(Mono::START + 9 * CHECK_SPACING);
    let order: Vec<_> = simulation.log.iter().map(|(_, app, step)| (*app, *step)).collect();
    let both = |app| [(app, CheckStep::ReadSecret), (app, CheckStep::Probe)];
    let mut wanted = [both("a-00000"), both("a-00001"), both("a-00002")].concat();
    wanted.push(("a-00000", CheckStep::ReadSecret));
    wanted.extend(both("late"));
    assert_eq!(order, wanted);
}

#[test]
fn apps_of_one_account_share_one_call_in_five_seconds_and_others_do_not_wait_for_them() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "a", 50, CheckStep::Probe, |_| 7);
    simulation.add("a", "z", 8, CheckStep::Probe);
    simulation.run_until(Mono::START + Duration::from_mins(1));
    assert!(simulation.first("z", CheckStep::Probe) <= Mono::START + 2 * CHECK_SPACING);
    let calls: Vec<_> = simulation
        .log
        .iter()
        .filter(|(_, app, step)| *app != "z" && *step == CheckStep::Probe)
        .map(|(at, ..)| *at)
        .collect();
    assert!(calls.len() >= 11, "{calls:?}");
    assert!(calls.windows(2).all(|pair| pair[1] >= pair[0] + PROBE_SPACING), "{calls:?}");
}

#[test]
fn namespaces_take_turns_at_an_account() {
    let mut simulation = Simulation::default();
    for namespace in ["a", "b", "c"] {
        crowd(&mut simulation, namespace, 10, CheckStep::Probe, |_| 7);
    }
    // Broken apps are not queued again, because they would only read their Secrets. This test is about the calls.
    let mut order = Vec::new();
    while order.len() < 9 {
        match simulation.checks.next(simulation.now) {
            NextCheck::Ready(app) => {
                simulation.checks.start(&app, simulation.now);
                order.push(&app[..1]);
            }
            NextCheck::At(moment) => simulation.now = moment,
            NextCheck::Empty => break,
        }
    }
    for round in order.chunks(3) {
        assert_eq!(round.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{order:?}");
    }
}

/// One of its many apps uses somebody else's account. That account is not blocked until all of them are checked.
#[test]
fn a_namespace_with_much_to_check_does_not_keep_an_account_from_its_owner() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "greedy", 3000, CheckStep::Probe, |app| app + 1);
    let last = name("greedy-99999".to_owned());
    simulation.add("greedy", last, 0, CheckStep::Probe);
    simulation.run_until(Mono::START + Duration::from_secs(2));
    let asked = simulation.now;
    simulation.add("owner", "own", 0, CheckStep::Probe);
    simulation.run_until(asked + Duration::from_secs(3));
    let called = simulation.first("own", CheckStep::Probe);
    assert!(called <= asked + HEAD_OF_LINE_TIMEOUT + 2 * CHECK_SPACING, "{called:?}, asked for at {asked:?}");
}

#[test]
fn who_leaves_is_not_called_and_its_account_is_forgotten() {
    let mut simulation = Simulation::default();
    simulation.add("a", "gone", 1, CheckStep::Probe);
    simulation.add("a", "here", 1, CheckStep::Probe);
    assert_eq!(simulation.checks.never_checked(), 2);
    simulation.checks.remove(&"gone");
    simulation.checks.remove(&"gone");
    assert_eq!(simulation.checks.next(Mono::START), NextCheck::Ready("here"));
    simulation.checks.start(&"here", Mono::START);
    assert_eq!(simulation.checks.next(Mono::START + CHECK_SPACING), NextCheck::Empty);
    simulation.checks.forget_idle(Mono::START + MILLISECOND);
    assert_eq!(simulation.checks.accounts.len(), 1, "its next call has to wait");
    simulation.checks.forget_idle(Mono::START + PROBE_SPACING);
    assert!(simulation.checks.accounts.is_empty());
}

#[test]
fn who_asks_again_keeps_its_place_and_who_asks_for_something_else_gets_a_new_one() {
    let mut checks = CheckQueue::default();
    let request = |is_broken| CheckRequest { is_broken, step: CheckStep::ReadSecret, account: account(1) };
    let second = Duration::from_secs(1);
    assert_eq!(checks.push("a", &"app", request(false), Mono::START + second), Mono::START + second);
    assert_eq!(checks.push("a", &"app", request(false), Mono::START + 2 * second), Mono::START + second);
    assert_eq!(checks.push("a", &"app", request(true), Mono::START + 3 * second), Mono::START + 3 * second);
    assert_eq!(checks.never_checked(), 0);
}

#[test]
fn an_account_that_is_held_is_called_for_nobody() {
    let mut simulation = Simulation::default();
    simulation.add("a", "one", 1, CheckStep::Probe);
    simulation.checks.hold_account_until(&account(1), Mono::START + Duration::from_secs(3));
    simulation.checks.hold_account_until(&account(1), Mono::START + Duration::from_secs(2));
    assert_eq!(simulation.checks.next(Mono::START), NextCheck::At(Mono::START + Duration::from_secs(3)));
    assert_eq!(simulation.checks.next(Mono::START + Duration::from_secs(3)), NextCheck::Ready("one"));
}

#[test]
fn a_thousand_apps_that_are_accepted_do_not_wait_for_minutes_and_an_attack_beside_them_gains_nothing() {
    let mut simulation = Simulation { accepted: "good", ..Simulation::default() };
    crowd(&mut simulation, "greedy", 1000, CheckStep::ReadSecret, |app| 10_000 + app);
    crowd(&mut simulation, "good", 1000, CheckStep::ReadSecret, |app| app);
    simulation.run_until(Mono::START + Duration::from_secs(20));
    let (accepted, greedy): (Vec<_>, Vec<_>) =
        simulation.log.iter().partition(|(_, app, _)| app.starts_with("good"));
    assert_eq!(accepted.len(), 2000, "all of them took both steps");
    simulation.log = greedy;
    assert!(simulation.is_five_a_second() && simulation.log.len() > 30, "{} steps", simulation.log.len());
}

#[test]
fn what_a_namespace_has_earned_is_bounded_and_forgotten() {
    let mut simulation = Simulation::default();
    crowd(&mut simulation, "a", 100, CheckStep::ReadSecret, |app| app);
    for _ in 0..100 {
        simulation.checks.on_accepted("a");
    }
    simulation.run_until(Mono::START + MILLISECOND);
    assert_eq!(simulation.log.len(), 1 + MAX_BONUS_STEPS);
    simulation.checks.on_accepted("b");
    simulation.checks.forget_idle(simulation.now);
    assert!(simulation.checks.bonus.is_empty());
}
