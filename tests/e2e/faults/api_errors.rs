//! C2: every error at every kind of API server call.

use std::time::Duration;

use testbed::proxy::{Boundary, Fault, Line, Position};
use testbed::runs;

use crate::faults::{NO_ELECTION, RESETS, assert_empty};
use crate::world::replicas::{SHORT_LEASE, until_leading};
use crate::world::{DEADLINE, Leg, World};

/// How the API server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Responds twice with this status code.
    Code(u16),
    /// Refuses connections for two seconds.
    Refused,
    /// Resets the connection, twice.
    Reset,
    /// Does not respond for thirty seconds.
    Stall,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::Code(401),
    Trouble::Code(403),
    Trouble::Code(404),
    Trouble::Code(409),
    Trouble::Code(429),
    Trouble::Code(500),
    Trouble::Code(503),
    Trouble::Refused,
    Trouble::Reset,
    Trouble::Stall,
];

/// The API call that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Secret,
    Intent,
    Outcome,
    Lease,
    List,
    Watch,
}

const STEPS: [Step; 6] = [Step::Secret, Step::Intent, Step::Outcome, Step::Lease, Step::List, Step::Watch];

/// How long [`Trouble::Refused`] and [`Trouble::Stall`] last.
const REFUSAL: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(30);
/// After the fault ends; includes time to read back a call whose outcome was stored too late.
const RECOVERY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_operator_recovers_from_every_error_at_every_api_call() {
    let count = TROUBLES.len() * STEPS.len();
    runs("C2", u32::try_from(count).unwrap())
        .side_by_side(12, |run| async move {
            let turn = run.turn(count);
            recovers(TROUBLES[turn / STEPS.len()], STEPS[turn % STEPS.len()]).await;
        })
        .await;
}

async fn recovers(trouble: Trouble, step: Step) {
    let what = format!("{trouble:?} at {step:?}");
    let world = World::breakable().await;
    world.room("@TGS#room");
    let args: &[&str] = if step == Step::Lease { &SHORT_LEASE } else { &NO_ELECTION };
    let times = if matches!(trouble, Trouble::Code(_) | Trouble::Reset) { 2 } else { 1 };
    let boundary = match step {
        Step::Secret => Boundary::secret(),
        Step::Intent => Boundary::intent(),
        Step::Outcome => Boundary::outcome(),
        Step::Lease => Boundary::renewal(),
        Step::List => Boundary::of("list", RESETS),
        Step::Watch => Boundary::of("watch", RESETS),
    };
    let fault = match trouble {
        // The operator must not honour a Retry-After of a whole day.
        Trouble::Code(code @ (429 | 503)) => {
            Fault::Answer { code, headers: vec![("Retry-After", "86400".to_owned())], body: String::new() }
        }
        Trouble::Code(code) => Fault::code(code),
        Trouble::Refused => Fault::Hold,
        Trouble::Reset => Fault::Reset,
        Trouble::Stall => Fault::Delay(SILENCE),
    };

    // Lists and watches start with the process, everything else comes later.
    let begin = || world.plan(Leg::Api, boundary.clone().times(times), Position::Before, fault);
    let (plan, operator) = match step {
        Step::List | Step::Watch => {
            let plan = begin();
            let operator = world.start(world.launch(args));
            world.app("").await;
            (plan, operator)
        }
        Step::Secret => {
            let operator = world.operator(args).await;
            let plan = begin();
            world.app("").await;
            (plan, operator)
        }
        Step::Intent | Step::Outcome | Step::Lease => {
            let operator = world.operator(args).await;
            if step == Step::Lease {
                until_leading(&operator, DEADLINE).await;
            }
            world.app("").await;
            world.app_is("Verified").await;
            if step == Step::Lease {
                // The process may exit if it cannot renew in time or finds the lease gone.
                operator.may_end();
            }
            (begin(), operator)
        }
    };
    world.reset("room", "@TGS#room", "").await;
    // A process that exits at the first failure never hits the second.
    plan.has_fired_times(if step == Step::Lease { 1 } else { times }, DEADLINE).await;
    match trouble {
        Trouble::Refused => {
            world.proxy(Leg::Api).set(Line::Refusing);
            tokio::time::sleep(REFUSAL).await;
            world.proxy(Leg::Api).set(Line::Up);
        }
        Trouble::Stall => tokio::time::sleep(SILENCE).await,
        _ => {}
    }
    drop(plan);
    if step == Step::Lease {
        world.until_all_final_with_restarts(operator, args, RECOVERY).await;
    } else {
        world.until_all_final(RECOVERY).await;
    }
    assert_eq!(world.calls("@TGS#room"), 1, "{what}");
    assert_empty(&world, "@TGS#room");
    world.finish().await;
}
