//! Thousands of resets at once: does the operator use all of what is allowed, and no more?

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::FutureExt as _;
use jiff::Timestamp;
use testbed::OperatorProcess;

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::cpu::{Reading, Used};
use crate::figures::Case;
use crate::load::{all_cleared, create, numbered, rooms};
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage, is_alive};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "burst",
    title: "10,000 resets at once",
    about: "The resets exist before the operator starts; in the last case sixteen clients create them while it runs. \
            Measured from the first call at the vendor to the last. N permits allow N / (1 s + round trip) calls a \
            second, since a permit is held until one second after the answer.",
    run: |bench| run(bench).boxed_local(),
};

struct Burst {
    name: &'static str,
    latency: u64,
    limit: usize,
    made_meanwhile: bool,
}

/// The vendor's limit, and one that a small machine carries, too.
const BURSTS: [Burst; 5] = [
    Burst { name: "1 ms", latency: 1, limit: 200, made_meanwhile: false },
    Burst { name: "50 ms", latency: 50, limit: 200, made_meanwhile: false },
    Burst { name: "1 ms, 60 calls/s", latency: 1, limit: 60, made_meanwhile: false },
    Burst { name: "50 ms, 60 calls/s", latency: 50, limit: 60, made_meanwhile: false },
    Burst { name: "50 ms, made meanwhile", latency: 50, limit: 200, made_meanwhile: true },
];

/// Between two looks at what has arrived.
const LOOK: Duration = millis(50);

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for burst in BURSTS.iter().filter(|burst| !bench.quick || burst.name == "1 ms, 60 calls/s") {
        bench.progress.heading(&format!("burst, {}", burst.name));
        cases.push(measure(bench, burst).await?);
    }
    Ok(cases)
}

async fn measure(bench: &Bench, burst: &Burst) -> Result<Case> {
    let count = bench.size(10_000, 500);
    let names = numbered("burst", 0, count);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(burst.latency)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    let round_trip = stage.round_trip().await?;
    stage.namespace("burst", &format!("callsPerSecond: {}", burst.limit)).await?;
    let resets = stage.resets("burst");
    let since = Timestamp::now();

    let make = || create(&resets, &names, "default", &bench.progress);
    let (operator, making) = if burst.made_meanwhile {
        let (operator, _) = stage.start_ready(&[]).await?;
        stage.verified("burst", 1).await?;
        (operator, make().boxed_local())
    } else {
        make().await?;
        (stage.start(&[], None)?, async { Ok(()) }.boxed_local())
    };
    let begun = Instant::now();
    let making = async { making.await.map(|()| begun.elapsed()) };
    let watching = watch(bench, &stage, &operator, count, burst.limit);
    let (made_in, readings) = tokio::join!(making, watching);
    let (made_in, (first, last)) = (made_in?, readings?);
    bench.progress.now("waiting for the last outcomes");
    all_cleared(&resets, count, Duration::from_mins(2)).await?;
    let requests = Requests::of(&stage.plane, &stage.account.user(), since).await?;

    let mut case = Case::named(burst.name);
    let arrivals = calls::arrivals(&stage.vendor, ACCOUNT);
    let rate = calls::rate(&arrivals);
    let permitted = burst.limit as f64 / (1.0 + round_trip);
    case.more("calls at the vendor", "/s", rate);
    case.plain("permitted", "/s", permitted);
    case.more("used of what is permitted", "%", 100.0 * rate / permitted).wanted(97.0);
    let fullest = calls::fullest_second(&stage.vendor, ACCOUNT);
    case.less("fullest second", "calls", fullest);
    case.less("fullest second against the limit", "%", 100.0 * fullest / burst.limit as f64).wanted(100.0);
    case.less("calls per reset", "", arrivals.len() as f64 / count as f64).wanted(1.0);
    if burst.made_meanwhile {
        case.plain("resets made", "/s", count as f64 / made_in.as_secs_f64());
    }
    let used = Used::between(&first, &last);
    processors(&mut case, &used, arrivals.len());
    let writes =
        requests.count(|verb, resource| verb == "update" && resource == "groupattributeresets/status");
    case.less("status writes per reset", "", writes / count as f64);
    case.note("bound by", bound(100.0 * rate / permitted, &used));
    let seconds =
        (arrivals.last().zip(arrivals.first())).map_or(0, |(last, first)| (*last - *first).as_secs());
    let seconds = usize::try_from(seconds)? + 1;
    case.curve(burst.name, calls::per_second(arrivals.iter().copied(), arrivals[0], seconds));
    Ok(case)
}

/// Reads the processors at the first call and at the last.
async fn watch(
    bench: &Bench,
    stage: &Stage,
    operator: &OperatorProcess,
    count: usize,
    limit: usize,
) -> Result<(Reading, Reading)> {
    let end = Instant::now() + Duration::from_secs((count / limit * 3 + 120) as u64);
    let parts = stage.parts(operator);
    let mut first = None;
    loop {
        let arrived = calls::arrived(&stage.vendor, ACCOUNT);
        bench.progress.count("calls", arrived, count);
        if arrived > 0 && first.is_none() {
            first = Some(parts.read()?);
        }
        if let (true, Some(first)) = (arrived >= count, first) {
            return Ok((first, parts.read()?));
        }
        is_alive(operator)?;
        if Instant::now() > end {
            bail!("only {arrived} of {count} calls have arrived");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the parts used of the processors, and per reset.
pub(super) fn processors(case: &mut Case, used: &Used, resets: usize) {
    let per_reset = |part: f64| 1e3 * part / resets as f64;
    case.less("processor per reset: operator", "ms", per_reset(used.operator));
    case.less("processor per reset: kube-apiserver", "ms", per_reset(used.apiserver));
    case.less("processor per reset: etcd", "ms", per_reset(used.etcd));
    for (name, part) in [
        ("operator", used.operator),
        ("kube-apiserver", used.apiserver),
        ("etcd", used.etcd),
        ("simulated vendor", used.vendor),
        ("the bench itself", used.bench),
    ] {
        case.plain(&format!("busy: {name}"), "% of a core", used.percent_of_a_core(part));
    }
    case.plain("busy: all cores of this machine", "%", used.machine_percent());
}

fn bound(percent: f64, used: &Used) -> String {
    if percent >= 97.0 {
        "the limit".to_owned()
    } else if used.machine_percent() >= 90.0 {
        "this machine's processors".to_owned()
    } else {
        "the time that a permit covers besides".to_owned()
    }
}
