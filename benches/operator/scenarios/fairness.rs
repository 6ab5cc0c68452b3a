//! Ten resets of one namespace behind ten thousand of another, on the same account.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::FutureExt as _;

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::figures::Case;
use crate::finals::Finals;
use crate::load::{create, group_of, numbered, rooms};
use crate::stage::{ACCOUNT, Stage};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "fairness",
    title: "10 resets behind 10,000 of another namespace",
    about: "Both namespaces use the same account with 200 calls a second; the vendor takes 20 ms. The ten are \
            created three seconds after the flood starts.",
    run: |bench| run(bench).boxed_local(),
};

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    bench.progress.heading("fairness");
    let count = bench.size(10_000, 1_500);
    let (flood, few) = (numbered("flood", 0, count), numbered("calm", 0, 10));
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    for namespace in ["flood", "calm"] {
        stage.namespace(namespace, "callsPerSecond: 200").await?;
    }
    rooms(&stage.vendor, ACCOUNT, &flood);
    rooms(&stage.vendor, ACCOUNT, &few);
    create(&stage.resets("flood"), &flood, "default", &bench.progress).await?;
    let (operator, _) = stage.start_ready(&[]).await?;
    stage.verified("calm", 1).await?;
    let finals = Finals::follow(stage.resets("calm")).await?;
    let end = Instant::now() + Duration::from_mins(1);
    while calls::arrived(&stage.vendor, ACCOUNT) < 600 {
        if Instant::now() > end {
            bail!("the flood does not flow");
        }
        tokio::time::sleep(millis(20)).await;
    }

    bench.progress.now("ten resets of the other namespace");
    let since = Instant::now();
    create(&stage.resets("calm"), &few, "default", &bench.progress).await?;
    let mut done = since;
    for name in &few {
        done = done.max(finals.of(name, &operator).await?);
    }
    let arrivals = stage.vendor.entries(|entry| entry.arrived >= since && entry.arrived <= done);
    let groups: Vec<String> = few.iter().map(|name| group_of(name)).collect();
    let of_the_flood =
        arrivals.iter().filter(|entry| entry.group.as_ref().is_some_and(|group| !groups.contains(group)));
    let waiting = count.saturating_sub(calls::arrived(&stage.vendor, ACCOUNT));

    let mut case = Case::named("20 ms");
    case.less("until the ten had ended", "s", (done - since).as_secs_f64()).wanted(2.0);
    case.plain("calls of the flood meanwhile", "", of_the_flood.count() as f64);
    case.plain("of the flood still waiting then", "", waiting as f64);
    Ok(vec![case])
}
