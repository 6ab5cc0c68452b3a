//! Another consumer takes half of the account's budget for a while.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use testbed::vendor::{Answer, Command, Entry, Limits};
use tokio::task::JoinSet;

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::figures::Case;
use crate::load::{create, group_of, numbered, rooms};
use crate::stage::{ACCOUNT, Stage};
use crate::stats::{deviation, mean};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "adapting",
    title: "another consumer takes half of the budget",
    about: "The vendor takes 20 ms and refuses anything above 80 calls in a sliding second with code 60007: a \
            limit at which CPU is not the bottleneck, even on a small machine. Another consumer sends 40 calls a \
            second for a while, whatever the answers; the operator is not told. Rates beside the other consumer are \
            from the last two thirds of that period, refusals from all of it.",
    run: |bench| run(bench).boxed_local(),
};

const RIVAL: &str = "rival";
const CALLS_PER_SECOND: usize = 80;
const RIVALS_CALLS_PER_SECOND: u32 = 40;

/// When the other one comes, goes, and the measurement ends, in seconds since the first call.
struct Times {
    comes: usize,
    goes: usize,
    end: usize,
}

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    bench.progress.heading("adapting");
    let times = bench.size(Times { comes: 10, goes: 55, end: 85 }, Times { comes: 3, goes: 9, end: 12 });
    // So many that there is always one to send.
    let names = numbered("adapting", 0, times.end * CALLS_PER_SECOND);
    let rivals = numbered(RIVAL, 0, (times.goes - times.comes) * RIVALS_CALLS_PER_SECOND as usize);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    rooms(&stage.vendor, ACCOUNT, &rivals);
    stage.vendor.set_limits(Limits { calls_per_second: CALLS_PER_SECOND, ..Limits::default() });
    stage.namespace("adapting", &format!("callsPerSecond: {CALLS_PER_SECOND}")).await?;
    create(&stage.resets("adapting"), &names, "default", &bench.progress).await?;
    let (operator, _) = stage.start_ready(&[]).await?;
    testbed::until(Duration::from_mins(1), "the first call", || async {
        (calls::arrived(&stage.vendor, ACCOUNT) > 0).then_some(())
    })
    .await;
    let start = *calls::arrivals(&stage.vendor, ACCOUNT).first().context("no call has arrived")?;
    let at = |seconds: usize| tokio::time::Instant::from_std(start + Duration::from_secs(seconds as u64));

    bench.progress.now("the operator alone");
    tokio::time::sleep_until(at(times.comes)).await;
    bench.progress.now("with another consumer");
    compete(&stage, &rivals).await?;
    bench.progress.now("alone again");
    tokio::time::sleep_until(at(times.end)).await;
    operator.kill9();

    let entries =
        stage.vendor.entries(|entry| entry.command == Command::Clear && entry.answer != Answer::Waiting);
    let curve = |who: bool, refused: bool| {
        let chosen = entries.iter().filter(|entry| is_rival(entry) == who && is_refused(entry) == refused);
        calls::per_second(chosen.map(|entry| entry.arrived), start, times.end)
    };
    let (taken, refused) = (curve(false, false), curve(false, true));
    let (rivals_taken, rivals_refused) = (curve(true, false), curve(true, true));
    // The first third of the competition is for finding the new share.
    let steady = times.comes + (times.goes - times.comes) / 3..times.goes;
    let sum = |curve: &[f64]| curve[times.comes..times.goes].iter().sum::<f64>();

    let mut case = Case::named("20 ms");
    case.plain("alone", "calls/s", mean(&taken[1..times.comes]));
    case.more("beside the other one", "calls/s", mean(&taken[steady.clone()]));
    case.less(
        "variation from second to second",
        "%",
        100.0 * deviation(&taken[steady.clone()]) / mean(&taken[steady.clone()]),
    );
    case.less("refused of the operator's calls", "%", 100.0 * sum(&refused) / (sum(&taken) + sum(&refused)));
    case.plain("the other one's successful calls", "calls/s", mean(&rivals_taken[steady.clone()]));
    case.less(
        "refused of the other one's calls",
        "%",
        100.0 * sum(&rivals_refused) / (sum(&rivals_taken) + sum(&rivals_refused)),
    );
    let alone = mean(&taken[1..times.comes]);
    let recovered = taken[times.goes..].iter().position(|rate| *rate >= 0.9 * alone);
    match recovered {
        Some(seconds) => _ = case.less("until nine tenths of the rate were back", "s", seconds as f64 + 1.0),
        None => case.note(
            "until nine tenths of the rate were back",
            format!("more than {} s", times.end - times.goes),
        ),
    }
    case.curve("operator, successful", taken);
    case.curve("operator, refused", refused);
    case.curve("the other one, successful", rivals_taken);
    case.curve("the other one, refused", rivals_refused);
    Ok(vec![case])
}

/// Calls with the credentials of the operator's own, as another server of the same customer would make them.
async fn compete(stage: &Stage, rivals: &[String]) -> Result<()> {
    let url = calls::signed_url(&stage.vendor).context("no call of the operator has succeeded")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut beat = tokio::time::interval(Duration::from_secs(1) / RIVALS_CALLS_PER_SECOND);
    let mut calls = JoinSet::new();
    for name in rivals {
        beat.tick().await;
        calls.spawn(http.post(&url).body(format!("{{\"GroupId\":\"{}\"}}", group_of(name))).send());
        while calls.try_join_next().is_some() {}
    }
    while let Some(call) = calls.join_next().await {
        call?.context("a call of the other consumer failed")?;
    }
    Ok(())
}

fn is_rival(entry: &Entry) -> bool {
    entry.group.as_deref().is_some_and(|group| group.starts_with(&group_of(RIVAL)))
}

fn is_refused(entry: &Entry) -> bool {
    entry.answer != Answer::Code(0)
}
