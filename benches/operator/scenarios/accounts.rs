//! Many accounts, each with an app of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::api::PostParams;
use procfs::process::Process;

use super::{Bench, Scenario, millis};
use crate::calls;
use crate::figures::Case;
use crate::load::{all_cleared, reset, rooms};
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "accounts",
    title: "1,000 accounts",
    about: "A thousand apps in one namespace, each with its own account and Secret, exist before the operator \
            starts; then sixteen clients create one reset for each (20 ms). Memory is resident memory after the idle \
            period.",
    run: |bench| run(bench).boxed_local(),
};

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    bench.progress.heading("accounts");
    let count = bench.size(1_000, 100);
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(20)).await?;
    stage.namespace("accounts", "callsPerSecond: 200").await?;
    let names: Vec<(String, u64)> =
        (0..count).map(|i| (format!("account-{i:04}"), ACCOUNT + 1 + i as u64)).collect();
    let url = stage.vendor.url();
    let apps = names.iter().enumerate().map(|(done, (name, account))| {
        let (stage, url) = (&stage, &url);
        stage.vendor_account(*account);
        rooms(&stage.vendor, *account, std::slice::from_ref(name));
        async move {
            bench.progress.count("making apps", done, count);
            stage.app("accounts", name, *account, url, "callsPerSecond: 200").await
        }
    });
    stream::iter(apps).buffer_unordered(16).try_collect::<()>().await?;

    bench.progress.now("until all are verified");
    let since = Timestamp::now();
    let begun = Instant::now();
    let operator = stage.start(&[], None)?;
    stage.verified("accounts", count + 1).await?;
    let verified = begun.elapsed();
    let asked = Requests::of(&stage.plane, &stage.account.user(), since).await?;

    bench.progress.now("one reset of each");
    let resets = stage.resets("accounts");
    let (resets, params, begun) = (&resets, &PostParams::default(), Instant::now());
    let made = names
        .iter()
        .map(|(name, _)| async move { resets.create(params, &reset(name, name)).await.map(drop) });
    stream::iter(made).buffer_unordered(16).try_collect::<()>().await?;
    let made_in = begun.elapsed();
    all_cleared(resets, count, Duration::from_mins(2)).await?;
    let arrivals: Vec<Instant> =
        names.iter().flat_map(|(_, account)| calls::arrivals(&stage.vendor, *account)).collect();
    let Some(last) = arrivals.iter().max() else { bail!("no call has arrived") };

    bench.progress.now("at rest");
    let since = Timestamp::now();
    let seconds = bench.size(70, 8);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let rest = Requests::of(&stage.plane, &stage.account.user(), since).await?;
    let memory = Process::new(operator.pid())?.status()?.vmrss.unwrap_or_default() as f64 * 1024.0 / 1e6;

    let mut case = Case::named(format!("{count} accounts"));
    case.less("start until all were verified", "s", verified.as_secs_f64());
    case.less(
        "requests per account until then",
        "",
        asked.count(|_, resource| resource != "leases") / count as f64,
    );
    case.plain("time to make one reset of each", "s", made_in.as_secs_f64());
    case.less("until the last of them was sent", "s", (*last - begun).as_secs_f64());
    case.less("calls per reset", "", arrivals.len() as f64 / count as f64).wanted(1.0);
    case.less("memory", "MB", memory);
    let rest = rest.count(|verb, resource| verb != "watch" && resource != "leases");
    case.less("requests at rest, lease and watches aside", "a minute", rest * 60.0 / seconds as f64);
    Ok(vec![case])
}
