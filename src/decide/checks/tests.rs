use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A world in which every step succeeds at once, and every probe says that the app does not work,
/// unless its namespace is good.
#[derive(Default)]
struct World {
    checks: Checks<&'static str>,
    now: Duration,
    log: Vec<(Duration, &'static str, Step)>,
    wishes: HashMap<&'static str, (&'static str, Wish)>,
    /// A namespace whose apps the vendor accepts.
    good: &'static str,
}

fn account(number: i64) -> AccountName {
    AccountName { sdk_app_id: number, host: "chat:443".to_owned() }
}

/// A name that lives as long as the test binary.
fn name(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl World {
    fn add(&mut self, namespace: &'static str, app: &'static str, number: i64, step: Step) {
        let wish = Wish { is_broken: false, step, account: account(number) };
        self.wishes.insert(app, (namespace, wish));
        self.join(app);
    }

    fn join(&mut self, app: &'static str) {
        let (namespace, wish) = self.wishes[app].clone();
        self.checks.join(namespace, &app, wish, self.now);
    }

    /// Everybody who has taken the first step asks for the second, and everybody broken asks again at once.
    fn run_until(&mut self, end: Duration) {
        while self.now < end {
            match self.checks.next(self.now) {
                Next::Nobody => self.now = end,
                Next::At(moment) => {
                    assert!(moment > self.now, "it would look again without end");
                    self.now = moment;
                }
                Next::Go(app) => {
                    let step = self.wishes[app].1.step;
                    self.checks.take(&app, self.now);
                    self.log.push((self.now, app, step));
                    let (namespace, wish) = self.wishes.get_mut(app).unwrap();
                    if step == Step::Probe && *namespace == self.good {
                        self.checks.accepted(namespace);
                        continue;
                    }
                    match step {
                        Step::ReadSecret => wish.step = Step::Probe,
                        Step::Probe => (wish.step, wish.is_broken) = (Step::ReadSecret, true),
                    }
                    self.join(app);
                }
            }
        }
    }

    fn first(&self, app: &str, step: Step) -> Duration {
        self.log.iter().find(|(_, one, taken)| *one == app && *taken == step).expect("it had its turn").0
    }

    /// Whether six steps never lie within a second.
    fn is_five_a_second(&self) -> bool {
        self.log.windows(6).all(|six| six[5].0 > six[0].0 + Duration::from_secs(1))
    }
}

fn crowd(world: &mut World, namespace: &'static str, apps: i64, step: Step, number: impl Fn(i64) -> i64) {
    for app in 0..apps {
        world.add(namespace, name(format!("{namespace}-{app:05}")), number(app), step);
    }
}

#[test]
fn three_thousand_apps_of_one_namespace_cost_five_steps_a_second_for_ever() {
    let mut world = World::default();
    crowd(&mut world, "greedy", 3000, Step::ReadSecret, |app| app);
    world.run_until(Duration::from_mins(30));
    assert!(world.is_five_a_second());
    let steps = world.log.len();
    assert!((8000..=9000).contains(&steps), "{steps} steps in half an hour: the budget is used");
}

#[test]
fn a_newcomer_elsewhere_is_checked_within_a_second() {
    let mut world = World::default();
    crowd(&mut world, "greedy", 3000, Step::ReadSecret, |app| app);
    for moment in [3, 600, 3600].map(Duration::from_secs) {
        world.run_until(moment);
        let (app, asked) = (name(format!("new-{}", moment.as_secs())), world.now);
        world.add("neighbour", app, 100_000, Step::ReadSecret);
        world.run_until(asked + Duration::from_secs(1));
        let called = world.first(app, Step::Probe);
        assert!(called <= asked + 4 * SPACING, "{app}: {called:?}, asked for at {asked:?}");
        world.checks.leave(&app);
    }
}

#[test]
fn who_was_never_looked_at_goes_before_those_that_are_broken_and_a_check_is_finished_before_the_next() {
    let mut world = World::default();
    crowd(&mut world, "a", 3, Step::ReadSecret, |app| app);
    world.run_until(7 * SPACING);
    world.add("a", "late", 9, Step::ReadSecret);
    world.run_until(9 * SPACING);
    let order: Vec<_> = world.log.iter().map(|(_, app, step)| (*app, *step)).collect();
    let both = |app| [(app, Step::ReadSecret), (app, Step::Probe)];
    let mut wanted = [both("a-00000"), both("a-00001"), both("a-00002")].concat();
    wanted.push(("a-00000", Step::ReadSecret));
    wanted.extend(both("late"));
    assert_eq!(order, wanted);
}

#[test]
fn apps_of_one_account_share_one_call_in_five_seconds_and_others_do_not_wait_for_them() {
    let mut world = World::default();
    crowd(&mut world, "a", 50, Step::Probe, |_| 7);
    world.add("a", "z", 8, Step::Probe);
    world.run_until(Duration::from_mins(1));
    assert!(world.first("z", Step::Probe) <= 2 * SPACING);
    let calls: Vec<_> = world
        .log
        .iter()
        .filter(|(_, app, step)| *app != "z" && *step == Step::Probe)
        .map(|(at, ..)| *at)
        .collect();
    assert!(calls.len() >= 11, "{calls:?}");
    assert!(calls.windows(2).all(|pair| pair[1] >= pair[0] + PROBE_SPACING), "{calls:?}");
}

#[test]
fn namespaces_take_turns_at_an_account() {
    let mut world = World::default();
    for namespace in ["a", "b", "c"] {
        crowd(&mut world, namespace, 10, Step::Probe, |_| 7);
    }
    // Broken ones would only read their Secrets again; here it is about the calls.
    let mut order = Vec::new();
    while order.len() < 9 {
        match world.checks.next(world.now) {
            Next::Go(app) => {
                world.checks.take(&app, world.now);
                order.push(&app[..1]);
            }
            Next::At(moment) => world.now = moment,
            Next::Nobody => break,
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
    crowd(&mut world, "greedy", 3000, Step::Probe, |app| app + 1);
    let last = name("greedy-99999".to_owned());
    world.add("greedy", last, 0, Step::Probe);
    world.run_until(Duration::from_secs(2));
    let asked = world.now;
    world.add("owner", "own", 0, Step::Probe);
    world.run_until(asked + Duration::from_secs(3));
    let called = world.first("own", Step::Probe);
    assert!(called <= asked + PATIENCE + 2 * SPACING, "{called:?}, asked for at {asked:?}");
}

#[test]
fn who_leaves_is_not_called_and_its_account_is_forgotten() {
    let mut world = World::default();
    world.add("a", "gone", 1, Step::Probe);
    world.add("a", "here", 1, Step::Probe);
    assert_eq!(world.checks.newcomers(), 2);
    world.checks.leave(&"gone");
    world.checks.leave(&"gone");
    assert_eq!(world.checks.next(Duration::ZERO), Next::Go("here"));
    world.checks.take(&"here", Duration::ZERO);
    assert_eq!(world.checks.next(SPACING), Next::Nobody);
    world.checks.forget_idle(MILLISECOND);
    assert_eq!(world.checks.accounts.len(), 1, "its next call has to wait");
    world.checks.forget_idle(PROBE_SPACING);
    assert!(world.checks.accounts.is_empty());
}

#[test]
fn who_asks_again_keeps_its_place_and_who_asks_for_something_else_gets_a_new_one() {
    let mut checks = Checks::default();
    let wish = |is_broken| Wish { is_broken, step: Step::ReadSecret, account: account(1) };
    let second = Duration::from_secs(1);
    assert_eq!(checks.join("a", &"app", wish(false), second), second);
    assert_eq!(checks.join("a", &"app", wish(false), 2 * second), second);
    assert_eq!(checks.join("a", &"app", wish(true), 3 * second), 3 * second);
    assert_eq!(checks.newcomers(), 0);
}

#[test]
fn an_account_that_is_held_is_called_for_nobody() {
    let mut world = World::default();
    world.add("a", "one", 1, Step::Probe);
    world.checks.hold(&account(1), Duration::from_secs(3));
    world.checks.hold(&account(1), Duration::from_secs(2));
    assert_eq!(world.checks.next(Duration::ZERO), Next::At(Duration::from_secs(3)));
    assert_eq!(world.checks.next(Duration::from_secs(3)), Next::Go("one"));
}

#[test]
fn a_thousand_apps_that_are_accepted_do_not_wait_for_minutes_and_an_attack_beside_them_gains_nothing() {
    let mut world = World { good: "good", ..World::default() };
    crowd(&mut world, "greedy", 1000, Step::ReadSecret, |app| 10_000 + app);
    crowd(&mut world, "good", 1000, Step::ReadSecret, |app| app);
    world.run_until(Duration::from_secs(20));
    let (good, greedy): (Vec<_>, Vec<_>) = world.log.iter().partition(|(_, app, _)| app.starts_with("good"));
    assert_eq!(good.len(), 2000, "all of them were read and called for");
    world.log = greedy;
    assert!(world.is_five_a_second() && world.log.len() > 30, "{} steps", world.log.len());
}

#[test]
fn what_a_namespace_has_earned_is_bounded_and_forgotten() {
    let mut world = World::default();
    crowd(&mut world, "a", 100, Step::ReadSecret, |app| app);
    for _ in 0..100 {
        world.checks.accepted("a");
    }
    world.run_until(MILLISECOND);
    assert_eq!(world.log.len(), 1 + MOST_EARNED);
    world.checks.accepted("b");
    world.checks.forget_idle(world.now);
    assert!(world.checks.earned.is_empty());
}
