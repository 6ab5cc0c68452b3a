//! The measured part of `docs/scaling.md`: unit costs, and what they come to in larger installations.

use anyhow::{Context as _, Result};

use super::figures::plain;
use super::results::{Measured, Results};
use super::stats::median;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// The page with its measured part written anew.
pub(crate) fn page(old: &str, results: &Results) -> Result<String> {
    let (before, rest) =
        old.split_once(BEGIN).context("docs/scaling.md has lost the mark of its measured part")?;
    let (_, after) = rest.split_once(END).context("docs/scaling.md has lost the end of its measured part")?;
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", measured(results)?))
}

fn measured(results: &Results) -> Result<String> {
    let value = |scenario: &str, case: &str, figure: &str| value(results, scenario, case, figure);
    let operator = value("cost", "20 ms", "processor per reset: operator")?;
    let apiserver = value("cost", "20 ms", "processor per reset: kube-apiserver")?;
    let etcd = value("cost", "20 ms", "processor per reset: etcd")?;
    let sent = value("cost", "20 ms", "bytes sent per reset")?;
    let received = value("cost", "20 ms", "bytes received per reset")?;
    let stored = value("cost", "20 ms", "size of a finished reset as JSON")?;
    let rate = value("burst", "50 ms", "calls at the vendor")?;
    // From the slope between two sizes: what an empty process needs is not the objects' fault.
    let slope = |figure: &str| -> Result<(f64, f64)> {
        let (some, many) =
            (value("size", "1,000 objects", figure)?, value("size", "10,000 objects", figure)?);
        let each = (many - some) / 9_000.0;
        Ok((each, some + 99_000.0 * each))
    };
    let (finished, finished_all) = slope("memory, finished")?;
    let (waiting, waiting_all) = slope("memory, waiting")?;
    let (start, start_all) = slope("start until ready, finished")?;
    let accounts =
        value("accounts", "1000 accounts", "memory")? - value("size", "1,000 objects", "memory, finished")?;
    let verified = value("accounts", "1000 accounts", "start until all were verified")?;
    let at_rest = value("accounts", "1000 accounts", "requests at rest, lease and watches aside")?;

    let unit = [
        ("writes to the API server", "2, and no read".to_owned()),
        ("bytes to and from the API server", format!("{} and {}", plain(sent), plain(received))),
        ("processor time of the operator", format!("{} ms", plain(operator))),
        (
            "processor time of kube-apiserver and etcd",
            format!("{} ms and {} ms", plain(apiserver), plain(etcd)),
        ),
        ("size in etcd, as JSON", format!("{} bytes", plain(stored))),
        ("memory while it waits", format!("{} kB", plain(1e3 * waiting))),
        ("memory after its end", format!("{} kB", plain(1e3 * finished))),
        ("start of a leader, per 1,000 finished", format!("{} ms", plain(1e6 * start))),
        ("memory of an account", format!("{} kB", plain(accounts))),
    ];
    let servers = apiserver + etcd;
    let sums = [
        (
            "one account with a limit of 200, vendor's round trip 50 ms, on this machine",
            format!("{} resets a second", plain(rate)),
        ),
        ("100,000 resets of that account", format!("{} minutes", plain(100_000.0 / rate / 60.0))),
        (
            "traffic with the API server meanwhile",
            format!("{} writes and {} MB a second", plain(2.0 * rate), plain(rate * (sent + received) / 1e6)),
        ),
        ("what one core of API servers and etcd takes", format!("{} resets a second", plain(1e3 / servers))),
        ("what one core of the operator takes", format!("{} resets a second", plain(1e3 / operator))),
        (
            "100,000 finished resets in etcd",
            format!(
                "{} MB; with the versions that are kept until compaction up to three times as much",
                plain(stored / 10.0)
            ),
        ),
        ("memory with 100,000 waiting", format!("{} MB", plain(waiting_all))),
        ("memory with 100,000 finished", format!("{} MB", plain(finished_all))),
        ("start of a leader with 100,000 finished", format!("{} s", plain(start_all))),
        ("1,000 accounts: start until all are verified", format!("{} s", plain(verified))),
        ("1,000 accounts: requests at rest", format!("{} a minute", plain(at_rest))),
        (
            "1,000 accounts, each with one reset a minute",
            format!(
                "{} resets a second: {} % of a core for API server and etcd, {} % for the operator",
                plain(1_000.0 / 60.0),
                plain(1_000.0 / 60.0 * servers / 10.0),
                plain(1_000.0 / 60.0 * operator / 10.0)
            ),
        ),
    ];
    let table = |heading: &str, rows: &[(&str, String)]| {
        let rows: Vec<_> = rows.iter().map(|(what, cost)| format!("| {what} | {cost} |\n")).collect();
        format!("| {heading} | |\n|---|---|\n{}", rows.concat())
    };
    Ok(format!(
        "Measured on {} ({} cores of {}; see [bench.md](bench.md)).\n\n{}\n{}",
        results.begun.strftime("%Y-%m-%d"),
        results.machine.cores,
        results.machine.processor,
        table("one clean reset", &unit),
        table("from that", &sums)
    ))
}

fn value(results: &Results, scenario: &str, case: &str, figure: &str) -> Result<f64> {
    let measured: Option<&Measured> = results.scenarios.iter().find(|measured| measured.name == scenario);
    let values = measured.map(|measured| measured.values(case, figure)).unwrap_or_default();
    if values.is_empty() {
        Err(anyhow::anyhow!("{scenario} has no figure {figure:?} for {case}"))
    } else {
        Ok(median(&values))
    }
}
