//! Many objects: memory, start, and what it does at rest.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use jiff::Timestamp;
use kube::api::PostParams;
use procfs::process::Process;
use serde_json::Value;
use testbed::OperatorProcess;

use super::{Bench, Scenario, millis};
use crate::figures::{Case, plain};
use crate::finals::Finals;
use crate::load::{create, create_finished, numbered, reset, rooms};
use crate::requests::Requests;
use crate::stage::{ACCOUNT, Stage, stop};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "size",
    title: "with many objects",
    about: "Memory is resident memory ten seconds after the operator reported ready, and its peak until then. The \
            finished resets carry the status that the operator itself wrote for one of them. The waiting ones wait \
            for an app that may send one call a second. At rest nothing changes but time.",
    run: |bench| run(bench).boxed_local(),
};

async fn run(bench: &Bench) -> Result<Vec<Case>> {
    let sizes = bench.size(&[0, 1_000, 10_000][..], &[0, 1_000]);
    let at_rest = bench.size(10_000, 1_000);
    let mut cases: Vec<Case> =
        sizes.iter().map(|size| Case::named(format!("{} objects", plain_count(*size)))).collect();
    finished(bench, sizes, at_rest, &mut cases).await?;
    waiting(bench, sizes, &mut cases).await?;
    Ok(cases)
}

async fn finished(bench: &Bench, sizes: &[usize], at_rest: usize, cases: &mut [Case]) -> Result<()> {
    bench.progress.heading("size, finished resets");
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(1)).await?;
    stage.namespace("finished", "callsPerSecond: 200").await?;
    let resets = stage.resets("finished");
    let template = one_status(&stage).await?;
    let mut made = 0;
    for (size, case) in sizes.iter().zip(cases) {
        create_finished(&resets, &numbered("finished", made, *size), &template, &bench.progress).await?;
        made = *size;
        bench.progress.now("starting the operator");
        let (operator, took) = stage.start_ready(&[]).await?;
        settle(bench).await;
        let memory = Memory::of(&operator)?;
        let start = case.less("start until ready, finished", "s", took.as_secs_f64());
        if *size == 10_000 {
            start.wanted(3.0);
        }
        let resident = case.less("memory, finished", "MB", memory.resident);
        if *size == 10_000 {
            resident.wanted(40.0);
        }
        case.less("most memory until then, finished", "MB", memory.most);
        if *size == at_rest {
            rest(bench, &stage, &operator, case).await?;
        }
        stop(operator).await;
    }
    Ok(())
}

async fn settle(bench: &Bench) {
    tokio::time::sleep(Duration::from_secs(bench.size(10, 2))).await;
}

/// What the operator asks and uses while nothing happens.
async fn rest(bench: &Bench, stage: &Stage, operator: &OperatorProcess, case: &mut Case) -> Result<()> {
    let seconds = bench.size(60, 5);
    bench.progress.now("at rest");
    let ticks = |process: &OperatorProcess| Ok::<_, anyhow::Error>(Process::new(process.pid())?.stat()?);
    let (since, before) = (Timestamp::now(), ticks(operator)?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = ticks(operator)?;
    let requests = Requests::of(&stage.plane, &stage.account.user(), since).await?;
    let a_minute = 60.0 / seconds as f64;
    let leases = requests.count(|_, resource| resource == "leases");
    let others = requests.count(|verb, resource| resource != "leases" && verb != "watch");
    case.less("requests at rest, lease and watches aside", "a minute", others * a_minute).wanted(0.0);
    case.plain("lease renewals at rest", "a minute", leases * a_minute);
    let used =
        (after.utime + after.stime - before.utime - before.stime) as f64 / procfs::ticks_per_second() as f64;
    case.less("processor at rest", "% of a core", 100.0 * used / seconds as f64);
    case.note("requests at rest", format!("in {seconds} s: {}", requests.told()));
    Ok(())
}

async fn waiting(bench: &Bench, sizes: &[usize], cases: &mut [Case]) -> Result<()> {
    bench.progress.heading("size, waiting resets");
    bench.progress.now("starting the API server");
    let stage = Stage::set(&bench.operator, millis(1)).await?;
    stage.namespace("waiting", "callsPerSecond: 1").await?;
    let resets = stage.resets("waiting");
    let mut made = 0;
    for (size, case) in sizes.iter().zip(cases) {
        let names = numbered("waiting", made, *size);
        rooms(&stage.vendor, ACCOUNT, &names);
        create(&resets, &names, "default", &bench.progress).await?;
        made = *size;
        bench.progress.now("starting the operator");
        let (operator, took) = stage.start_ready(&[]).await?;
        settle(bench).await;
        let memory = Memory::of(&operator)?;
        case.less("start until ready, waiting", "s", took.as_secs_f64());
        let resident = case.less("memory, waiting", "MB", memory.resident);
        if *size == 10_000 {
            resident.wanted(80.0);
        }
        case.less("most memory until then, waiting", "MB", memory.most);
        stop(operator).await;
    }
    Ok(())
}

/// The status that the operator writes for a clean reset.
async fn one_status(stage: &Stage) -> Result<Value> {
    let (operator, _) = stage.start_ready(&[]).await?;
    stage.verified("finished", 1).await?;
    let resets = stage.resets("finished");
    let finals = Finals::follow(resets.clone()).await?;
    rooms(&stage.vendor, ACCOUNT, &["template".to_owned()]);
    resets.create(&PostParams::default(), &reset("template", "default")).await?;
    finals.of("template", &operator).await?;
    stop(operator).await;
    let status = resets.get("template").await?.data["status"].take();
    // With none of them there must be none.
    resets.delete("template", &kube::api::DeleteParams::default()).await?;
    if status["completionTime"].is_null() {
        bail!("the status that serves as a model has no end: {status}");
    }
    Ok(status)
}

/// In MB (10^6 bytes).
struct Memory {
    resident: f64,
    most: f64,
}

impl Memory {
    fn of(operator: &OperatorProcess) -> Result<Self> {
        let status = Process::new(operator.pid())?.status()?;
        let megabytes = |kib: Option<u64>| {
            Ok::<_, anyhow::Error>(kib.context("no memory in /proc")? as f64 * 1024.0 / 1e6)
        };
        Ok(Self { resident: megabytes(status.vmrss)?, most: megabytes(status.vmhwm)? })
    }
}

fn plain_count(count: usize) -> String {
    if count < 1_000 { plain(count as f64) } else { format!("{},{:03}", count / 1_000, count % 1_000) }
}
