//! `cargo campaign`: the fault matrix, run very often.
//!
//! | question | file |
//! |---|---|
//! | what can be asked for? | `args` |
//! | which rows are there? | `matrix` |
//! | where do the tests come from? | `build` |
//! | what has been done? | `state` |
//! | what is shown meanwhile? | `show` |
//! | what is left of it? | `report` |

mod args;
mod build;
mod matrix;
mod report;
mod show;
mod state;

use std::{
    collections::BTreeSet,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use testbed::runs::{LOG, RUNS, SEED, SOAK_OPERATOR, SOAK_SECONDS};

use self::{
    args::Args,
    matrix::{MATRIX, Row},
    report::Outcome,
    show::Table,
    state::State,
};

/// How long attacks go on if nothing else is said.
const ATTACKS: Duration = Duration::from_mins(5);
/// How often the table is drawn anew.
const BEAT: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let args = Args::given();
    let done = if args.attacks { attacks(&args) } else { campaign(&args) };
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Runs it and returns how many runs have failed.
fn campaign(args: &Args) -> Result<usize> {
    let rows = chosen(args)?;
    let state = State::open(&build::root().join("target/campaign"), args.fresh)?;
    let tests = build::tests()?;
    let mut table = Table::new(&rows);
    for (row, wanted) in &rows {
        show(&mut table, &state, row, *wanted);
    }
    let (begun, until) = (Instant::now(), args.time.map(|time| Instant::now() + time));
    while until.is_none_or(|until| Instant::now() < until) {
        // The row that is furthest behind, so that a campaign cut short has something of each.
        let missing = rows.iter().filter_map(|(row, wanted)| {
            let done = state.done(row.id);
            let next = state::next(&done, *wanted, row.batch)?;
            Some((f64::from(next.start) / f64::from(*wanted), *row, *wanted, next))
        });
        let Some((_, row, wanted, next)) = missing.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        let since = Instant::now();
        batch(&state, &tests, row, &next, || {
            show(&mut table, &state, row, wanted);
            table.tick(row, until);
        })?;
        let failed = show(&mut table, &state, row, wanted);
        table.batch(row, next.end - next.start, since.elapsed(), failed);
    }
    table.end();
    let outcome = |(row, wanted): &(&'static Row, u32)| Outcome {
        row,
        wanted: *wanted,
        done: state.done(row.id).into_iter().filter(|(number, _)| number < wanted).collect(),
    };
    let outcomes: Vec<_> = rows.iter().map(outcome).collect();
    report::write(&args.report, &outcomes, state.seed, begun.elapsed())?;
    let (passed, failed) = report::sums(&outcomes);
    println!("report: {}", args.report.display());
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

/// All attacks at once, measured. Returns 0 if they achieved nothing.
fn attacks(args: &Args) -> Result<usize> {
    const TEST: &str = "attacks::all_attacks_at_once_disturb_no_healthy_tenant";
    let time = args.time.unwrap_or(ATTACKS);
    println!("all attacks for {time:?}, after half as long without them");
    let operator = build::released_operator()?;
    let status = Command::new(build::tests()?)
        .args(["--exact", TEST, "--nocapture"])
        .env(SOAK_SECONDS, time.as_secs().to_string())
        .env(SOAK_OPERATOR, operator)
        .env("RUST_BACKTRACE", "0")
        .current_dir(build::root())
        .stdin(Stdio::null())
        .status()
        .context("cannot start the test of the attacks")?;
    Ok(usize::from(!status.success()))
}

/// The rows that were asked for, with the number of their runs.
fn chosen(args: &Args) -> Result<Vec<(&'static Row, u32)>> {
    let known: BTreeSet<String> = MATRIX.iter().map(|row| row.id.to_uppercase()).collect();
    if let Some(unknown) = args.rows.iter().find(|row| !known.contains(*row)) {
        bail!("there is no row {unknown}; there are {}", known.into_iter().collect::<Vec<_>>().join(", "));
    }
    let is_wanted = |row: &&Row| args.rows.is_empty() || args.rows.contains(&row.id.to_uppercase());
    Ok(MATRIX.iter().filter(is_wanted).map(|row| (row, row.wanted(args.scale))).collect())
}

fn show(table: &mut Table, state: &State, row: &Row, wanted: u32) -> usize {
    let done = state.done(row.id);
    let done: Vec<bool> = done.range(..wanted).map(|(_, passed)| *passed).collect();
    let failed = done.iter().filter(|passed| !**passed).count();
    table.done(row, done.len(), failed);
    failed
}

/// Runs a part of a row. Runs that left no word about themselves have failed.
fn batch(
    state: &State,
    tests: &Path,
    row: &Row,
    runs: &Range<u32>,
    mut meanwhile: impl FnMut(),
) -> Result<()> {
    let name = format!("{}-{}", row.id, runs.start);
    let printed = tempfile::NamedTempFile::new()?;
    let appending = || File::options().append(true).open(printed.path());
    let mut test = Command::new(tests)
        .args(["--exact", row.test, "--nocapture"])
        .env(RUNS, format!("{}..{}", runs.start, runs.end))
        .env(SEED, state.seed.to_string())
        .env(LOG, state.log())
        .env("RUST_BACKTRACE", "0")
        .current_dir(build::root())
        .stdin(Stdio::null())
        .stdout(appending()?)
        .stderr(appending()?)
        .spawn()
        .with_context(|| format!("cannot start {}", tests.display()))?;
    let status = loop {
        if let Some(status) = test.try_wait()? {
            break status;
        }
        meanwhile();
        sleep(BEAT);
    };
    let done = state.done(row.id);
    let missing: Vec<u32> = runs.clone().filter(|number| !done.contains_key(number)).collect();
    let is_bad = runs.clone().any(|number| done.get(&number) == Some(&false));
    for number in &missing {
        state.note_failure(row.id, *number)?;
    }
    if !status.success() && missing.is_empty() && !is_bad {
        state.note_failure(row.id, runs.end - 1)?;
    }
    if !status.success() || !missing.is_empty() {
        let kept: PathBuf = state.keep(&name, &std::fs::read(printed.path())?)?;
        eprintln!("{}: runs {}..{} did not all pass, see {}", row.id, runs.start, runs.end, kept.display());
    }
    Ok(())
}
