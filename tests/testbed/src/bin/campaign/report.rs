//! The report: what was run, where, and what no failure in so many runs means.

use std::{ffi::OsStr, fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use anyhow::Result;
use indicatif::HumanDuration;
use testbed::control_plane::Binaries;

use super::{build::root, matrix::Row, state::Done};

/// One row with its outcome.
pub(crate) struct Outcome<'a> {
    pub(crate) row: &'a Row,
    pub(crate) wanted: u32,
    pub(crate) done: Done,
}

impl Outcome<'_> {
    pub(crate) fn passed(&self) -> usize {
        self.done.values().filter(|passed| **passed).count()
    }

    pub(crate) fn failed(&self) -> usize {
        self.done.len() - self.passed()
    }
}

/// Writes it.
pub(crate) fn write(file: &Path, outcomes: &[Outcome<'_>], seed: u64, took: Duration) -> Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text(outcomes, seed, took))?;
    Ok(())
}

fn text(outcomes: &[Outcome<'_>], seed: u64, took: Duration) -> String {
    let (passed, failed) = sums(outcomes);
    let mut page = format!(
        "# The last campaign\n\n\
         `cargo campaign` runs the fault matrix of `tests/e2e` again and again, against a real API server, with the \
         operator as a process of its own. Each run breaks one thing at one moment, and then checks that every reset \
         ended, that no room was cleared twice, that no call came after the end or without a stored intent, that the \
         statuses were right at every step, and that nothing secret got out.\n\n\
         **{passed} passed, {failed} failed.**\n\n\
         | | |\n|---|---|\n\
         | date | {} |\n| commit | {} |\n| compiler | {} |\n| Kubernetes | {} |\n| machine | {} |\n\
         | seed | {seed} |\n| time of the last session | {} |\n\n\
         | row | what breaks | runs | of | failed | with 95 % confidence it fails in fewer than |\n\
         |---|---|---|---|---|---|\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        said_by("git", &["rev-parse", "--short", "HEAD"]),
        said_by("rustc", &["--version"]),
        kubernetes(),
        machine(),
        HumanDuration(took),
    );
    for outcome in outcomes {
        let Outcome { row, wanted, done } = outcome;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {wanted} | {} | {} |",
            row.id,
            row.fault,
            done.len(),
            outcome.failed(),
            bound(done.len(), outcome.failed())
        );
    }
    page.push_str(
        "\nNo failure in *n* runs does not mean that there is none: it means, with 95 % confidence, that fewer than 3 in \
         *n* runs fail (the rule of three). Rows with few runs say little; a longer campaign goes on where this one \
         stopped.\n",
    );
    page
}

pub(crate) fn sums(outcomes: &[Outcome<'_>]) -> (usize, usize) {
    (outcomes.iter().map(Outcome::passed).sum(), outcomes.iter().map(Outcome::failed).sum())
}

/// The rule of three; it says nothing about rows that failed.
#[allow(clippy::cast_precision_loss)]
fn bound(runs: usize, failed: usize) -> String {
    match (runs, failed) {
        (runs, 0) if runs >= 3 => format!("{:.2} % of runs", 300.0 / runs as f64),
        _ => "–".to_owned(),
    }
}

fn said_by(program: impl AsRef<OsStr>, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output();
    let said = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    said.map_or_else(|| "not known".to_owned(), |said| String::from_utf8_lossy(&said).trim().to_owned())
}

fn kubernetes() -> String {
    let binaries = Binaries::find_or_build().ok();
    let said = binaries.map(|binaries| said_by(binaries.kube_apiserver(), &["--version"]));
    said.unwrap_or_else(|| "not known".to_owned())
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default();
    format!("{cores} cores, {} GiB", kib.div_ceil(1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::MATRIX;

    #[test]
    fn the_report_counts_and_bounds_each_row() {
        let outcomes = [
            Outcome { row: &MATRIX[0], wanted: 600, done: (0..600).map(|n| (n, true)).collect() },
            Outcome { row: &MATRIX[1], wanted: 9, done: Done::from([(0, true), (1, false), (2, true)]) },
        ];
        let page = text(&outcomes, 7, Duration::from_mins(3));
        assert!(page.contains("**602 passed, 1 failed.**"), "{page}");
        assert!(page.contains("| 600 | 600 | 0 | 0.50 % of runs |"), "{page}");
        assert!(page.contains("| 3 | 9 | 1 | – |"), "{page}");
    }
}
