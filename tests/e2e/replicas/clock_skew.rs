//! The wall clock of a replica is wrong, or is changed while it runs. The monotonic clock stays right.

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
use crate::world::{DEADLINE, KEY, World, numbered, reason_of};

const HOUR: i64 = 3600;

/// An `LD_PRELOAD` library that shifts the wall clock of a process; compiled once.
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

/// A wall clock controlled by the test.
struct WrongClock {
    file: std::fs::File,
    path: PathBuf,
}

impl WrongClock {
    /// `seconds` ahead; behind if negative.
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
        world.allow_clock_skew();
        let mut launch = world.launch(args);
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        launch.env.push(("LD_PRELOAD".to_owned(), text(shim())));
        launch.env.push(("CLOCK_SHIFT_FILE".to_owned(), text(&self.path)));
        let operator = world.start(launch);
        operator.ready(DEADLINE).await;
        operator
    }
}

/// The log lines about the lease.
fn lease_log(operator: &OperatorProcess) -> String {
    let logs = operator.logs();
    let lines = logs.lines().filter(|line| line.contains("lease") && !line.contains("TRACE"));
    lines.collect::<Vec<_>>().join("\n")
}

fn signed_at(usersig: &str) -> i64 {
    UserSig::decode(usersig).unwrap_or_else(|refusal| panic!("{refusal:?}")).time
}

/// The leader's clock is right, the follower's is off.
async fn follower_is_off(ahead: i64) {
    let world = World::new().await;
    let rooms = numbered("off", 12);
    world.rooms(&rooms);
    for group in ["@TGS#in-flight", "@TGS#short"] {
        world.room(group);
    }
    let leader = world.operator(&[]).await;
    until_leading(&leader, DEADLINE).await;
    let clock = WrongClock::ahead(&world, ahead);
    let follower = clock.operator(&world, &[]).await;
    world.app("  limits: { callsPerSecond: 2 }").await;
    world.app_is("Verified").await;
    // By the follower's clock, the lease was renewed an hour ago or will be in an hour. It must wait anyway.
    let watched = Instant::now();
    while watched.elapsed() < Duration::from_secs(18) {
        assert!(!leads(&follower).await, "it took over from a healthy leader: {}", lease_log(&leader));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let renewals = world.requests("leases", "groupattr-operator").await;
    assert!(
        renewals.iter().filter(|event| event.verb == "update").count() >= 6,
        "the leader should have renewed its lease"
    );

    world.vendor.script(When::clear().of("@TGS#in-flight"), Misbehaviour::Hang { execute: true });
    let long = "  activeDeadlineSeconds: 86400";
    world.reset("in-flight", "@TGS#in-flight", long).await;
    world.until_calls(1).await;
    for (name, group) in &rooms {
        world.reset(name, group, long).await;
    }
    world.until_calls(4).await;
    assert!(leads(&leader).await, "the leader lost its lease: {}", lease_log(&leader));
    leader.kill9();
    until_leading(&follower, DEADLINE).await;
    world.until_cleared(13, Duration::from_mins(1)).await;

    let tenures = world.assert_no_overlap();
    assert_eq!(tenures.len(), 2, "{tenures:#?}");
    let apart = signed_at(&tenures[1].usersig) - signed_at(&tenures[0].usersig);
    assert!((apart - ahead).abs() < 120, "the signatures are {apart} s apart, so the clock was not off");
    world.assert_each_cleared_once(&rooms);
    assert_eq!(world.calls("@TGS#in-flight"), 1);
    let reset = world.object("gar", "in-flight").await.expect("the reset");
    assert_eq!(reason_of(&reset, "Succeeded"), "VerifiedEmpty", "{reset:#}");
    // The follower took the lease only after it had seen no renewal for the whole duration. The audit log may
    // contain a renewal that was in flight when the leader was killed and was never stored.
    let writes = world.requests("leases", "groupattr-operator").await;
    let stored = writes.iter().filter(|event| event.verb == "update" && event.code == 200);
    let writes: Vec<Timestamp> = stored.map(|event| event.received).collect();
    let last = writes.windows(2).max_by_key(|pair| pair[1].duration_since(pair[0])).expect("renewals");
    let (silence, taken) = (last[1].duration_since(last[0]), last[1]);
    assert!(silence >= SignedDuration::from_secs(15), "failover {silence:#} after the last renewal");
    // Ten seconds for the old attempt and five for the backend, however far off its deadline seems to be.
    let read = world.vendor.reads().into_iter().find(|read| read.group.as_deref() == Some("@TGS#in-flight"));
    let read = read.expect("it was read back").arrived_at.duration_since(taken);
    assert!(read >= SignedDuration::from_secs(15), "read back {read:#} after the failover");

    // By a clock that is ahead, its deadline has passed before it is seen. Such a reset gets its time all the same.
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
    follower.wait_for_log(side, DEADLINE).await;
    assert!(!leader.logs().contains("The operator's clock"), "{}", leader.logs());
}

#[tokio::test]
async fn clock_skew_causes_no_early_failover_and_no_duplicate_call() {
    runs("D3", 2).side_by_side(2, |run| follower_is_off([HOUR, -HOUR][run.turn(2)])).await;
}

#[tokio::test]
async fn setting_the_leaders_clock_renews_the_signature_and_repeats_no_call() {
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

    // The vendor's clock moves too. The signature would be valid for eleven more hours, but it is renewed.
    clock.set_ahead(13 * HOUR);
    world.vendor.set_clock_ahead(13 * HOUR);
    world.reset("ahead", "@TGS#ahead", long).await;
    world.reset_is("ahead", "Cleared").await;
    // Set back again: the vendor could reject a signature from the future as forged.
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
    assert!(leads(&operator).await, "setting the clock must not cost the lease");
}
