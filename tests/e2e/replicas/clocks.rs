//! The wall clock of a replica is wrong, or is set while it runs. The monotonic clock is always right.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use testbed::OperatorProcess;
use testbed::runs::runs;
use testbed::vendor::{Misbehaviour, UserSig, When};

use crate::world::replicas::{leads, until_leading};
use crate::world::{KEY, SOON, World, numbered, reason_of};

const HOUR: i64 = 3600;

/// The library that shifts the wall clock of a process; built once, with the C compiler.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/replicas/clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&library).arg(source);
        let built = cc.output().expect("a C compiler, named cc");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        library
    })
}

/// A wall clock that a test sets.
struct WrongClock {
    file: std::fs::File,
    path: PathBuf,
}

impl WrongClock {
    /// Ahead by so many seconds; behind if negative.
    fn ahead(world: &World, seconds: i64) -> Self {
        let path = world.plane.folder().join(format!("{}.clock", world.namespace));
        let options = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let clock = Self { file: options.expect("a file"), path };
        clock.set_ahead(seconds);
        clock
    }

    fn set_ahead(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).expect("written");
    }

    async fn operator(&self, world: &World, args: &[&str]) -> OperatorProcess {
        world.has_clocks_that_differ();
        let mut launch = world.launch(args);
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        launch.env.push(("LD_PRELOAD".to_owned(), text(shim())));
        launch.env.push(("CLOCK_SHIFT_FILE".to_owned(), text(&self.path)));
        let operator = world.start(launch);
        operator.ready(SOON).await;
        operator
    }
}

/// What a process logged about the lease.
fn of_lease(operator: &OperatorProcess) -> String {
    let logs = operator.logs();
    let lines = logs.lines().filter(|line| line.contains("lease") && !line.contains("TRACE"));
    lines.collect::<Vec<_>>().join("\n")
}

fn signed_at(usersig: &str) -> i64 {
    UserSig::decode(usersig).unwrap_or_else(|refusal| panic!("{refusal:?}")).time
}

/// The leader's clock is right, that of the follower is off.
async fn follower_is_off(ahead: i64) {
    let world = World::new().await;
    let rooms = numbered("off", 12);
    world.rooms(&rooms);
    for group in ["@TGS#in-flight", "@TGS#short"] {
        world.room(group);
    }
    let leader = world.operator(&[]).await;
    until_leading(&leader, SOON).await;
    let clock = WrongClock::ahead(&world, ahead);
    let follower = clock.operator(&world, &[]).await;
    world.app("  limits: { callsPerSecond: 2 }").await;
    world.app_is("Verified").await;
    // By the follower's clock the lease was renewed an hour ago, or will be in an hour: it must wait all the same.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(18) {
        assert!(!leads(&follower).await, "it took over from a leader that works: {}", of_lease(&leader));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let renewals = world.requests("leases", "groupattr-operator").await;
    assert!(renewals.iter().filter(|event| event.verb == "update").count() >= 6, "the leader was at work");

    world.vendor.script(When::clear().of("@TGS#in-flight"), Misbehaviour::Hang { execute: true });
    let long = "  activeDeadlineSeconds: 86400";
    world.reset("in-flight", "@TGS#in-flight", long).await;
    world.until_calls(1).await;
    for (name, group) in &rooms {
        world.reset(name, group, long).await;
    }
    world.until_calls(4).await;
    assert!(leads(&leader).await, "it did not keep its lease until now: {}", of_lease(&leader));
    leader.kill9();
    until_leading(&follower, SOON).await;
    world.until_cleared(13, Duration::from_mins(1)).await;

    let tenures = world.assert_one_after_another();
    assert_eq!(tenures.len(), 2, "{tenures:#?}");
    let apart = signed_at(&tenures[1].usersig) - signed_at(&tenures[0].usersig);
    assert!((apart - ahead).abs() < 120, "the clock was not off: the signatures are {apart} s apart");
    world.assert_once_each(&rooms);
    assert_eq!(world.calls("@TGS#in-flight"), 1);
    let reset = world.object("gar", "in-flight").await.expect("the reset");
    assert_eq!(reason_of(&reset, "Succeeded"), "VerifiedEmpty", "{reset:#}");
    // The follower had watched the last renewal for the whole span when it wrote its own name. A renewal that was under
    // way when the leader was killed is in the log as well, and may not have been stored.
    let writes = world.requests("leases", "groupattr-operator").await;
    let stored = writes.iter().filter(|event| event.verb == "update" && event.code == 200);
    let writes: Vec<Timestamp> = stored.map(|event| event.received).collect();
    let last = writes.windows(2).max_by_key(|pair| pair[1].duration_since(pair[0])).expect("renewals");
    let (silence, taken) = (last[1].duration_since(last[0]), last[1]);
    assert!(silence >= SignedDuration::from_secs(15), "it took over {silence:#} after the last renewal");
    // Ten seconds for the other's attempt and five for the backend, however far away its deadline seems to be.
    let read = world.vendor.reads().into_iter().find(|read| read.group.as_deref() == Some("@TGS#in-flight"));
    let read = read.expect("it was read back").arrived_at.duration_since(taken);
    assert!(read >= SignedDuration::from_secs(15), "it was read back {read:#} after the take-over");

    // By a clock that is ahead its deadline is over before it is seen. Such a reset gets its time all the same.
    world.reset("short", "@TGS#short", "  activeDeadlineSeconds: 600").await;
    world.reset_is("short", "Cleared").await;
    assert_eq!(world.calls("@TGS#short"), 1);
    // Moments that are written down follow the clock of whoever leads.
    let soon = Timestamp::now() + Duration::from_mins(10);
    world.reset("moment", "@TGS#short", &format!("  notAfter: \"{soon}\"")).await;
    world.reset_is("moment", if ahead > 0 { "Expired" } else { "Cleared" }).await;
    let measured = follower.metric("groupattr_clock_skew_seconds", &[]).await.expect("a skew");
    assert!(
        (measured - f64::from(i32::try_from(ahead).unwrap())).abs() < 5.0,
        "the skew is {measured} s, not {ahead}"
    );
    let side = if ahead > 0 { "s ahead of the API server's" } else { "s behind the API server's" };
    follower.wait_for_log(side, SOON).await;
    assert!(!leader.logs().contains("The operator's clock"), "{}", leader.logs());
}

#[tokio::test]
async fn a_follower_whose_clock_is_an_hour_off_does_not_take_over_early_and_sends_nothing_twice() {
    runs("D3", 2).side_by_side(2, |run| follower_is_off([HOUR, -HOUR][run.turn(2)])).await;
}

#[tokio::test]
async fn a_clock_that_is_set_while_it_leads_brings_a_new_signature_and_no_second_call() {
    let world = World::new().await;
    for group in ["@TGS#before", "@TGS#ahead", "@TGS#back"] {
        world.room(group);
    }
    let clock = WrongClock::ahead(&world, 0);
    let operator = clock.operator(&world, &[]).await;
    world.app("").await;
    let long = "  activeDeadlineSeconds: 604800";
    world.reset("before", "@TGS#before", long).await;
    world.reset_is("before", "Cleared").await;

    // The vendor's clock is set with it: the signature would be good for eleven hours more, and yet it is renewed.
    clock.set_ahead(13 * HOUR);
    world.vendor.set_clock_ahead(13 * HOUR);
    world.reset("ahead", "@TGS#ahead", long).await;
    world.reset_is("ahead", "Cleared").await;
    // Set back again: a signature from the future could pass for a forgery.
    clock.set_ahead(0);
    world.vendor.set_clock_ahead(0);
    world.reset("back", "@TGS#back", long).await;
    world.reset_is("back", "Cleared").await;

    let clears = world.vendor.clears();
    let groups: Vec<_> = clears.iter().map(|call| call.group.as_deref().unwrap_or_default()).collect();
    assert_eq!(groups, ["@TGS#before", "@TGS#ahead", "@TGS#back"], "one call each");
    let signed: Vec<i64> =
        clears.iter().map(|call| signed_at(call.parameter("usersig").expect("usersig"))).collect();
    let renewed = signed[1] - signed[0];
    assert!((13 * HOUR - 60..13 * HOUR + 60).contains(&renewed), "renewed {renewed} s after the first");
    assert!((signed[2] - signed[0]).abs() < 60, "{signed:?}");
    assert!(UserSig::decode(clears[1].parameter("usersig").unwrap()).unwrap().is_signed_with(KEY));
    assert_eq!(operator.exit_status(), None, "{}", operator.logs());
    assert!(leads(&operator).await, "setting the clock is no reason to give up the lease");
}
