//! One reset at a time: from apply to the final status.

use std::time::Instant;

use anyhow::Result;
use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::{Bench, Scenario, millis};
use crate::figures::Case;
use crate::finals::Finals;
use crate::load::{numbered, reset, rooms};
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage};
use crate::stats::percentile;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "latency",
    title: "one reset at a time",
    about: "From just before the create request until a watch shows the final status. The vendor's own time is what \
            a call takes from here with nothing in between. The API server's time for each status write is from its \
            audit log: without the network, and without notifying watchers. Bare writes are one create and two \
            updates of a ConfigMap with one short value, made by the bench right afterwards: the minimum time this \
            API server needs on this machine for a request, an intent and an outcome.",
    run: |bench| run(bench).boxed_local(),
};

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for &latency in bench.size(&[1, 20, 100][..], &[20]) {
        bench.progress.heading(&format!("latency, {latency} ms"));
        cases.push(measure(bench, latency).await?);
    }
    Ok(cases)
}

async fn measure(bench: &Bench, latency: u64) -> Result<Case> {
    let count = bench.size(200, 20);
    let names = numbered("single", 0, count + 1);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(latency)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    stage.namespace("single", "callsPerSecond: 200").await?;
    let (operator, _) = stage.start_ready(&[]).await?;
    stage.verified("single", 1).await?;
    let vendors_own = 1e3 * stage.round_trip().await?;
    let resets = stage.resets("single");
    let finals = Finals::follow(resets.clone()).await?;

    let begun = Timestamp::now();
    let (mut whole, mut creating) = (Vec::new(), Vec::new());
    for (done, name) in names.iter().enumerate() {
        let since = Instant::now();
        resets.create(&PostParams::default(), &reset(name, "default")).await?;
        let created = since.elapsed();
        let end = finals.of(name, &operator).await?;
        // The first one opens the connections.
        if done > 0 {
            whole.push((end - since).as_secs_f64() * 1e3);
            creating.push(created.as_secs_f64() * 1e3);
        }
        bench.progress.count("resets", done, count);
    }

    let writes = Requests::status_writes(&stage.plane, &stage.account.user(), begun).await?;

    // Not in between: an API server that has just written something is a little quicker with what comes next.
    let mut bare = Vec::new();
    for name in &names {
        bare.push(1e3 * three_writes(&stage, name).await?);
    }

    let mut case = Case::named(format!("{latency} ms"));
    let (p50, p99) = (percentile(&whole, 50), percentile(&whole, 99));
    case.less("apply to final, median", "ms", p50);
    case.less("apply to final, p99", "ms", p99);
    case.plain("of it the vendor's own time", "ms", vendors_own);
    case.plain("of it the create request, median", "ms", percentile(&creating, 50));
    case.plain("of it each of the two status writes, median", "ms", percentile(&writes, 50));
    case.plain("three bare writes, median", "ms", percentile(&bare, 50));
    case.less("beyond the vendor's own time, median", "ms", p50 - vendors_own).wanted(15.0);
    case.less("beyond the vendor's own time, p99", "ms", p99 - vendors_own).wanted(50.0);
    Ok(case)
}

/// How long one create and two updates of a ConfigMap take, one after the other, in seconds.
async fn three_writes(stage: &Stage, name: &str) -> Result<f64> {
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "single");
    let map = json!({"metadata": {"name": name}, "data": {"write": "create"}});
    let since = Instant::now();
    let mut stored = maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    for write in ["intent", "outcome"] {
        stored.data.get_or_insert_default().insert("write".to_owned(), write.to_owned());
        stored = maps.replace(name, &PostParams::default(), &stored).await?;
    }
    Ok(since.elapsed().as_secs_f64())
}
