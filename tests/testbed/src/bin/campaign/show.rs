//! The table while it runs: a line for each row, with what is done and the time that is left.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use super::matrix::Row;

/// Lines that are drawn anew on a terminal; elsewhere a line for each batch.
pub(crate) struct Table {
    lines: BTreeMap<&'static str, Line>,
    all: ProgressBar,
    is_live: bool,
}

struct Line {
    bar: ProgressBar,
    wanted: u32,
    done: u32,
    /// Runs of this campaign and what they took, to tell what is left.
    pace: (u32, Duration),
}

impl Table {
    pub(crate) fn new(rows: &[(&Row, u32)]) -> Self {
        let is_live = stderr().is_terminal();
        let table = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix:<10} {bar:24} {pos:>6}/{len:<6} {msg}")
            .expect("a constant template");
        let lines = rows.iter().map(|(row, wanted)| {
            let bar = table.add(ProgressBar::new(u64::from(*wanted)));
            bar.set_style(style.clone());
            bar.set_prefix(row.id);
            bar.tick();
            (row.id, Line { bar, wanted: *wanted, done: 0, pace: (0, Duration::ZERO) })
        });
        let lines = lines.collect();
        let all = table.add(ProgressBar::new_spinner());
        all.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a constant template"));
        Self { lines, all, is_live }
    }

    /// So much of a row is done.
    pub(crate) fn done(&mut self, row: &Row, done: usize, failed: usize) {
        let Some(line) = self.lines.get_mut(row.id) else { return };
        line.done = u32::try_from(done).unwrap_or(u32::MAX);
        line.bar.set_position(u64::from(line.done));
        let failures = if failed == 0 { String::new() } else { format!("{failed} FAILED  ") };
        line.bar.set_message(format!("{failures}{}", row.fault));
    }

    /// A batch has ended.
    pub(crate) fn batch(&mut self, row: &Row, runs: u32, took: Duration, failed: usize) {
        let Some(line) = self.lines.get_mut(row.id) else { return };
        line.pace.0 += runs;
        line.pace.1 += took;
        let (done, wanted) = (line.done, line.wanted);
        if !self.is_live {
            let left = self.left().map_or_else(String::new, |left| format!(", {left}"));
            let took = HumanDuration(took);
            eprintln!("{:<10} {done:>6}/{wanted:<6} {runs} runs in {took}, {failed} failed{left}", row.id);
        }
    }

    /// Called while a batch runs.
    pub(crate) fn tick(&self, row: &Row, until: Option<Instant>) {
        let stop = until.map(|until| until.saturating_duration_since(Instant::now()));
        let stop = stop.map(|left| format!("; stops in {}", HumanDuration(left))).unwrap_or_default();
        let left = self.left().unwrap_or_else(|| "time left: not known yet".to_owned());
        self.all.set_message(format!("{} · {left}{stop}", row.id));
        self.all.tick();
    }

    pub(crate) fn end(&self) {
        self.all.finish_and_clear();
        for line in self.lines.values() {
            line.bar.abandon();
        }
    }

    /// Known when each row that is not done has been measured.
    fn left(&self) -> Option<String> {
        let mut sum = Duration::ZERO;
        for line in self.lines.values() {
            let missing = line.wanted.saturating_sub(line.done);
            if missing > 0 {
                let (runs, took) = line.pace;
                sum += took.checked_div(runs)? * missing;
            }
        }
        Some(format!("time left: {}", HumanDuration(sum)))
    }
}
