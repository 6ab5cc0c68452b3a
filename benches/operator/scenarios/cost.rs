//! What one reset costs: requests, bytes, processor time.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::FutureExt as _;
use jiff::Timestamp;

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::cpu::Used;
use crate::figures::Case;
use crate::load::{all_cleared, create, numbered, rooms};
use crate::relay::Relay;
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage, is_alive};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "cost",
    title: "what one reset costs",
    about: "1,000 clean resets, all sent before the first of them has waited for ten seconds (after that, a third \
            write would record the wait in the status). The bytes are counted on the encrypted connection between \
            operator and API server, including watch events and HTTP headers; the requests are counted from the API \
            server's audit log. The operator starts with the resets already there, so its first lists are not \
            included.",
    run: |bench| run(bench).boxed_local(),
};

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    bench.progress.heading("cost");
    let count = bench.size(1_000, 200);
    let names = numbered("cost", 0, count);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    rooms(&stage.vendor, ACCOUNT, &names);
    stage.namespace("cost", "callsPerSecond: 200").await?;
    let resets = stage.resets("cost");
    create(&resets, &names, "default", &bench.progress).await?;
    let relay = Relay::to(&stage.plane.url()).await?;
    let operator = stage.start(&[], Some(&relay.url()))?;
    let parts = stage.parts(&operator);
    let since = Timestamp::now();

    let end = Instant::now() + Duration::from_mins(2);
    let mut begin = None;
    loop {
        let arrived = calls::arrived(&stage.vendor, ACCOUNT);
        bench.progress.count("calls", arrived, count);
        if arrived > 0 && begin.is_none() {
            begin = Some((parts.read()?, relay.bytes(), arrived));
        }
        if arrived >= count {
            break;
        }
        is_alive(&operator)?;
        if Instant::now() > end {
            bail!("only {arrived} of {count} calls have arrived");
        }
        tokio::time::sleep(millis(2)).await;
    }
    all_cleared(&resets, count, Duration::from_mins(1)).await?;
    let Some((first, (sent, received), already)) = begin else { bail!("no call has arrived") };
    let used = Used::between(&first, &parts.read()?);
    let (sent_now, received_now) = relay.bytes();
    let requests = Requests::of(&stage.plane, &stage.account.user(), since).await?;

    // The few that had begun by then are as good as whole: their second write was still to come.
    let whole = (count - already) as f64 + already as f64 / 2.0;
    let mut case = Case::named("20 ms");
    let of_resets = |resource: &str| resource.starts_with("groupattributeresets");
    let writes =
        requests.count(|verb, resource| of_resets(resource) && !matches!(verb, "get" | "list" | "watch"));
    let reads = requests.count(|verb, resource| of_resets(resource) && verb == "get");
    case.less("writes per reset", "", writes / count as f64).wanted(2.0);
    case.less("reads per reset", "", reads / count as f64).wanted(0.0);
    let secrets = requests.count(|_, resource| resource == "secrets");
    case.less("reads of the Secret, in all", "", secrets).wanted(1.0);
    case.less("bytes sent per reset", "", (sent_now - sent) / whole);
    case.less("bytes received per reset", "", (received_now - received) / whole);
    let stored = serde_json::to_vec(&resets.get(&names[0]).await?)?;
    case.less("size of a finished reset as JSON", "bytes", stored.len() as f64);
    case.less("processor per reset: operator", "ms", 1e3 * used.operator / whole);
    case.less("processor per reset: kube-apiserver", "ms", 1e3 * used.apiserver / whole);
    case.less("processor per reset: etcd", "ms", 1e3 * used.etcd / whole);
    case.note("all requests", requests.told());
    Ok(vec![case])
}
