use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A world in which every step succeeds at once, and every probe says that the app does not work,
/// unless its namespace is good.
#[derive(Default)]
struct World {
    checks: CheckQueue<&'static str>,
    now: Duration,
    log: Vec<(Duration, &'static str, CheckStep)>,
    wishes: HashMap<&'static str, (&'static str, CheckRequest)>,
    /// A namespace whose apps the vendor accepts.
    good: &'static str,
}

fn account(number: i64) -> AccountId {
    AccountId { sdk_app_id: number, host: "chat:443".to_owned() }
}

/// A name that lives as long as the test binary.
fn name(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl World {
    fn add(&mut self, namespace: &'static str, app: &'static str, number: i64, step: CheckStep) {
        let wish = CheckRequest { is_broken: false, step, account: account(number) };
        self.wishes.insert(app, (namespace, wish));
        self.join(app);
    }

    fn join(&mut self, app: &'static str) {
        let (namespace, wish) = self.wishes[app].clone();
        self.checks.push(namespace, &app, wish, self.now);
    }

    /// Everybody who has taken the first step asks for the second, and everybody broken asks again at once.
    fn run_until(&mut self, end: Duration) {
        while self.now < end {
            match self.checks.next(self.now) {
                NextCheck::Nobody => self.now = end,
                NextCheck::At(moment) => {
                    assert!(moment > self.now, "it would look again without end");
                    self.now = moment;
                }
                NextCheck::Go(app) => {
                    let step = self.wishes[app].1.step;
                    self.checks.start(&app, self.now);
                    self.log.push((self.now, app, step));
                    let (namespace, wish) = self.wishes.get_mut(app).unwrap();
                    if step == CheckStep::Probe && *namespace == self.good {
                        self.checks.on_accepted(namespace);
                        continue;
                    }
                    match step {
                        CheckStep::ReadSecret => wish.step = CheckStep::Probe,
                        CheckStep::Probe => (wish.step, wish.is_broken) = (CheckStep::ReadSecret, true),
                    }
                    self.join(app);
                }
            }
        }
    }

    fn first(&self, app: &str, step: CheckStep) -> Duration {
        self.log.iter().find(|(_, one, taken)| *one == app && *taken == step).expect("it had its turn").0
    }

    /// Whether six steps never lie within a second.
    fn is_five_a_second(&self) -> bool {
        self.log.windows(6).all(|six| six[5].0 > six[0].0 + Duration::from_secs(1))
    }
}

fn crowd(
    world: &mut World,
    namespace: &'static str,
    apps: i64,
    step: CheckStep,
    number: impl Fn(i64) -> i64,
) {
    for app in 0..apps {
        world.add(namespace, name(format!("{namespace}-{app:05}")), number(app), step);
    }
}

#[test]
fn three_thousand_apps_of_one_namespace_cost_five_steps_a_second_for_ever() {
    let mut world = World::default();
    crowd(&mut world, "greedy", 3000, CheckStep::ReadSecret, |app| app);
    world.run_until(Duration::from_mins(30));
    assert!(world.is_five_a_second());
    let steps = world.log.len();
    assert!((8000..=9000).contains(&steps), "{steps} steps in half an hour: the budget is used");
}

#[test]
fn a_newcomer_elsewhere_is_checked_within_a_second() {
    let mut world = World::default();
    crowd(&mut world, "greedy", 3000, CheckStep::ReadSecret, |app| app);
    for moment in [3, 600, 3600].map(Duration::from_secs) {
        world.run_until(moment);
        let (app, asked) = (name(format!("new-{}", moment.as_secs())), world.now);
        world.add("neighbour", app, 100_000, CheckStep::ReadSecret);
        world.run_until(asked + Duration::from_secs(1));
        let called = world.first(app, CheckStep::Probe);
        assert!(called <= asked + 4 * CHECK_SPACING, "{app}: {called:?}, asked for at {asked:?}");
        world.checks.remove(&app);
    }
}

#[test]
fn who_was_never_looked_at_goes_before_those_that_are_broken_and_a_check_is_finished_before_the_next() {
    let mut world = World::default();
    crowd(&mut world, "a", 3, CheckStep::ReadSecret, |app| app);
    world.run_until(7 * CHECK_SPACING);
    world.add("a", "late", 9, CheckStep::ReadSecret);
    world.run_until(9 * CHECK_SPACING);
    let order: Vec<_> = world.log.iter().map(|(_, app, step)| (*app, *step)).collect();
    let both = |app| [(app, CheckStep::ReadSecret), (app, CheckStep::Probe)];
    let mut wanted = [both("a-00000"), both("a-00001"), both("a-00002")].concat();
    wanted.push(("a-00000", CheckStep::ReadSecret));
    wanted.extend(both("late"));
    assert_eq!(order, wanted);
}

#[test]
fn apps_of_one_account_share_one_call_in_five_seconds_and_others_do_not_wait_for_them() {
    let mut world = World::default();
    crowd(&mut world, "a", 50, CheckStep::Probe, |_| 7);
    world.add("a", "z", 8, CheckStep::Probe);
    world.run_until(Duration::from_mins(1));
    assert!(world.first("z", CheckStep::Probe) <= 2 * CHECK_SPACING);
    let calls: Vec<_> = world
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
    let mut world = World::default();
    for namespace in ["a", "b", "c"] {
        crowd(&mut world, namespace, 10, CheckStep::Probe, |_| 7);
    }
    // Broken ones would only read their Secrets again; here it is about the calls.
    let mut order = Vec::new();
    while order.len() < 9 {
        match world.checks.next(world.now) {
            NextCheck::Go(app) => {
                world.checks.start(&app, world.now);
                order.push(&app[..1]);
            }
            NextCheck::At(moment) => world.now = moment,
            NextCheck::Nobody => break,
        }
    }
    for round in order.chunks(3) {
        assert_eq!(round.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{order:?}");
    }
}

/// One of its many names somebody else's account; that account is not kept for it until it has looked at all of them.
#[test]
fn a_namespace_with_much_to_check_does_not_keep_an_account_from_its_owner() {
    let mut world = World::default();
    crowd(&mut world, "greedy", 3000, CheckStep::Probe, |app| app + 1);
    let last = name("greedy-99999".to_owned());
    world.add("greedy", last, 0, CheckStep::Probe);
    world.run_until(Duration::from_secs(2));
    let asked = world.now;
    world.add("owner", "own", 0, CheckStep::Probe);
    world.run_until(asked + Duration::from_secs(3));
    let called = world.first("own", CheckStep::Probe);
    assert!(called <= asked + HEAD_OF_LINE_TIMEOUT + 2 * CHECK_SPACING, "{called:?}, asked for at {asked:?}");
}

#[test]
fn who_leaves_is_not_called_and_its_account_is_forgotten() {
    let mut world = World::default();
    world.add("a", "gone", 1, CheckStep::Probe);
    world.add("a", "here", 1, CheckStep::Probe);
    assert_eq!(world.checks.never_checked(), 2);
    world.checks.remove(&"gone");
    world.checks.remove(&"gone");
    assert_eq!(world.checks.next(Duration::ZERO), NextCheck::Go("here"));
    world.checks.start(&"here", Duration::ZERO);
    assert_eq!(world.checks.next(CHECK_SPACING), NextCheck::Nobody);
    world.checks.forget_idle(MILLISECOND);
    assert_eq!(world.checks.accounts.len(), 1, "its next call has to wait");
    world.checks.forget_idle(PROBE_SPACING);
    assert!(world.checks.accounts.is_empty());
}

#[test]
fn who_asks_again_keeps_its_place_and_who_asks_for_something_else_gets_a_new_one() {
    let mut checks = CheckQueue::default();
    let wish = |is_broken| CheckRequest { is_broken, step: CheckStep::ReadSecret, account: account(1) };
    let second = Duration::from_secs(1);
    assert_eq!(checks.push("a", &"app", wish(false), second), second);
    assert_eq!(checks.push("a", &"app", wish(false), 2 * second), second);
    assert_eq!(checks.push("a", &"app", wish(true), 3 * second), 3 * second);
    assert_eq!(checks.never_checked(), 0);
}

#[test]
fn an_account_that_is_held_is_called_for_nobody() {
    let mut world = World::default();
    world.add("a", "one", 1, CheckStep::Probe);
    world.checks.hold_account_until(&account(1), Duration::from_secs(3));
    world.checks.hold_account_until(&account(1), Duration::from_secs(2));
    assert_eq!(world.checks.next(Duration::ZERO), NextCheck::At(Duration::from_secs(3)));
    assert_eq!(world.checks.next(Duration::from_secs(3)), NextCheck::Go("one"));
}

#[test]
fn a_thousand_apps_that_are_accepted_do_not_wait_for_minutes_and_an_attack_beside_them_gains_nothing() {
    let mut world = World { good: "good", ..World::default() };
    crowd(&mut world, "greedy", 1000, CheckStep::ReadSecret, |app| 10_000 + app);
    crowd(&mut world, "good", 1000, CheckStep::ReadSecret, |app| app);
    world.run_until(Duration::from_secs(20));
    let (good, greedy): (Vec<_>, Vec<_>) = world.log.iter().partition(|(_, app, _)| app.starts_with("good"));
    assert_eq!(good.len(), 2000, "all of them were read and called for");
    world.log = greedy;
    assert!(world.is_five_a_second() && world.log.len() > 30, "{} steps", world.log.len());
}

#[test]
fn what_a_namespace_has_earned_is_bounded_and_forgotten() {
    let mut world = World::default();
    crowd(&mut world, "a", 100, CheckStep::ReadSecret, |app| app);
    for _ in 0..100 {
        world.checks.on_accepted("a");
    }
    world.run_until(MILLISECOND);
    assert_eq!(world.log.len(), 1 + MAX_BONUS_STEPS);
    world.checks.on_accepted("b");
    world.checks.forget_idle(world.now);
    assert!(world.checks.bonus.is_empty());
}
