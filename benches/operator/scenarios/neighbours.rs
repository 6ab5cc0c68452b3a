//! An app that is in trouble, and what the resets of another app notice of it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::FutureExt as _;
use kube::api::PostParams;
use testbed::vendor::{Misbehaviour, When};

use super::{Bench, Scenario, millis};
use crate::figures::Case;
use crate::finals::Finals;
use crate::load::{create, numbered, reset, rooms};
use crate::stage::{ACCOUNT, Stage};
use crate::stats::percentile;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "neighbours",
    title: "beside an app in trouble",
    about: "Twenty resets a second of a healthy app (20 ms). Beside it, 500 resets wait for another app whose \
            endpoint accepts calls and never answers, or refuses connections, which opens its circuit.",
    run: |bench| run(bench).boxed_local(),
};

const OTHER: u64 = 1_400_000_001;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Hangs,
    CircuitOpen,
}

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    let troubles = [
        ("no trouble", Trouble::None),
        ("endpoint hangs", Trouble::Hangs),
        ("circuit open", Trouble::CircuitOpen),
    ];
    for &(name, trouble) in &troubles[..bench.size(3, 2)] {
        bench.progress.heading(&format!("neighbours, {name}"));
        let times = measure(bench, trouble).await?;
        let mut case = Case::named(name);
        case.less("apply to final, median", "ms", percentile(&times, 50));
        let p99 = percentile(&times, 99);
        let clean =
            cases.first().and_then(|clean| clean.figure("apply to final, p99")).map(|figure| figure.value);
        case.less("apply to final, p99", "ms", p99);
        if let Some(clean) = clean {
            case.less("p99 against no trouble", "times", p99 / clean).wanted(1.2);
        }
        cases.push(case);
    }
    Ok(cases)
}

/// Milliseconds from apply to final of each reset of the healthy app.
async fn measure(bench: &Bench, trouble: Trouble) -> Result<Vec<f64>> {
    let count = bench.size(400, 100);
    let names = numbered("healthy", 0, count);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    stage.namespace("healthy", "callsPerSecond: 200").await?;
    let other = Stage::second_vendor(OTHER)?;
    stage.app("healthy", "other", OTHER, &other.url(), "callsPerSecond: 200").await?;
    let (operator, _) = stage.start_ready(&[&other]).await?;
    stage.verified("healthy", 2).await?;

    let resets = stage.resets("healthy");
    if trouble != Trouble::None {
        match trouble {
            Trouble::Hangs => other.script(When::any(), Misbehaviour::Hang { execute: false }),
            _ => other.go_down(),
        }
        create(&resets, &numbered("other", 0, bench.size(500, 100)), "other", &bench.progress).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let finals = Finals::follow(resets.clone()).await?;
    let mut begun = Vec::new();
    let mut beat = tokio::time::interval(millis(50));
    for (done, name) in names.iter().enumerate() {
        beat.tick().await;
        begun.push(Instant::now());
        // Each on its own: a slow request must not delay the next.
        let (resets, object) = (resets.clone(), reset(name, "default"));
        tokio::spawn(async move { resets.create(&PostParams::default(), &object).await });
        bench.progress.count("resets", done + 1, count);
    }
    let mut times = Vec::new();
    for (name, begun) in names.iter().zip(begun) {
        times.push((finals.of(name, &operator).await? - begun).as_secs_f64() * 1e3);
    }
    if trouble == Trouble::CircuitOpen {
        let open = operator.metric("groupattr_circuit_open", &[("app", "other")]).await;
        ensure!(open == Some(1.0), "the circuit of the other app is not open: {open:?}");
    }
    Ok(times)
}
