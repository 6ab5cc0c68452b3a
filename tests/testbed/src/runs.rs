//! Repeated runs of a test. The rows of the fault matrix run a few times in `cargo test` and many times in
//! `cargo campaign`, which selects the runs of the same tests by environment variables.
//!
//! The seed of a run follows from its number, so a failed run can be repeated alone.

use std::{
    any::Any, env, fs, future::Future, io::Write as _, ops::Range, panic::AssertUnwindSafe, sync::Mutex,
};

use futures::{FutureExt as _, StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// The runs to make, such as `40..60`; by default the first few of each row.
pub const RUNS: &str = "TESTBED_RUNS";
/// The base of all seeds; 0 by default.
pub const SEED: &str = "TESTBED_SEED";
/// A file to which each finished run appends a line: row, number, `passed` or `failed`.
pub const LOG: &str = "TESTBED_RUN_LOG";

/// The duration of the attacks in seconds; by default a few, without measurements.
pub const SOAK_SECONDS: &str = "TESTBED_SOAK_SECONDS";
/// The operator binary to measure, instead of the one built with the tests.
pub const SOAK_OPERATOR: &str = "TESTBED_SOAK_OPERATOR";

/// One run of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The row's id in the fault matrix.
    pub row: &'static str,
    /// The run's number, starting at 0.
    pub number: u32,
    /// The seed, unique to the row and number.
    pub seed: u64,
}

impl Run {
    fn of(row: &'static str, number: u32) -> Self {
        let base: u64 = variable(SEED).map_or(0, |text| text.parse().expect("a number as seed"));
        let hash = Sha256::digest(format!("{base} {row} {number}"));
        let seed = hash[..8].iter().fold(0, |seed, &byte| seed << 8 | u64::from(byte));
        Self { row, number, seed }
    }

    /// A random number generator that yields the same numbers whenever this run is repeated.
    #[must_use]
    pub fn chance(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The index of the variant for this run; `count` variants take turns.
    #[must_use]
    pub fn turn(&self, count: usize) -> usize {
        usize::try_from(self.number).unwrap_or_default() % count
    }

    fn record(&self, outcome: &str) {
        if let Some(file) = variable(LOG) {
            let mut log =
                fs::File::options().create(true).append(true).open(file).expect("the log of the runs");
            writeln!(log, "{} {} {outcome}", self.row, self.number).expect("the log of the runs");
        }
    }

    /// The command that repeats only this run.
    fn repeat(&self) -> String {
        let seed = variable(SEED).map_or_else(String::new, |seed| format!("{SEED}={seed} "));
        let binary = env::current_exe().ok();
        // target/debug/deps/NAME-HASH
        let name = binary.as_ref().and_then(|file| file.file_stem()?.to_str()?.rsplit_once('-'));
        let binary = name.map_or("NAME", |(name, _)| name);
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("TEST").to_owned();
        format!(
            "{RUNS}={}..{} {seed}cargo test --test {binary} -- --exact {test}",
            self.number,
            self.number + 1
        )
    }
}

/// The runs of a row: the first `few`, or those that the campaign selects.
///
/// # Panics
/// If the campaign's variables are invalid.
pub fn runs(row: &'static str, few: u32) -> Runs {
    let numbers = variable(RUNS).map_or(0..few, |text| parse(&text).expect("runs such as 40..60"));
    Runs { row, numbers }
}

/// The runs of a row; the methods run and record them.
#[derive(Debug, Clone)]
#[must_use]
pub struct Runs {
    row: &'static str,
    numbers: Range<u32>,
}

impl Runs {
    /// Runs them one at a time.
    ///
    /// # Panics
    /// After all runs, if one of them failed.
    pub async fn one_by_one<Body, Running>(self, body: Body)
    where
        Body: Fn(Run) -> Running,
        Running: Future<Output = ()>,
    {
        self.side_by_side(1, body).await;
    }

    /// Runs up to `at_once` of them concurrently.
    ///
    /// # Panics
    /// After all runs, if one of them failed.
    pub async fn side_by_side<Body, Running>(self, at_once: usize, body: Body)
    where
        Body: Fn(Run) -> Running,
        Running: Future<Output = ()>,
    {
        let Self { row, numbers } = self;
        let failed = Mutex::new(Vec::new());
        let all = stream::iter(numbers).map(|number| {
            let run = Run::of(row, number);
            let (body, failed) = (&body, &failed);
            let running = AssertUnwindSafe(async move { body(run).await }).catch_unwind();
            async move { note(&run, running.await, failed) }
        });
        all.buffer_unordered(at_once).collect::<()>().await;
        end(row, failed);
    }

    /// Runs a synchronous body for each of them.
    ///
    /// # Panics
    /// After all runs, if one of them failed.
    pub fn each(self, body: impl Fn(Run)) {
        let failed = Mutex::new(Vec::new());
        for number in self.numbers {
            let run = Run::of(self.row, number);
            note(&run, std::panic::catch_unwind(AssertUnwindSafe(|| body(run))), &failed);
        }
        end(self.row, failed);
    }
}

fn note(run: &Run, outcome: Result<(), Box<dyn Any + Send>>, failed: &Mutex<Vec<u32>>) {
    match outcome {
        Ok(()) => run.record("passed"),
        Err(why) => {
            run.record("failed");
            let text = why.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            eprintln!("{} run {} (seed {}) failed: {text}", run.row, run.number, run.seed);
            eprintln!("to repeat it: {}", run.repeat());
            failed.lock().expect("no panic while holding this lock").push(run.number);
        }
    }
}

fn end(row: &str, failed: Mutex<Vec<u32>>) {
    let mut failed = failed.into_inner().expect("no panic while holding this lock");
    failed.sort_unstable();
    assert!(failed.is_empty(), "{row}: runs {failed:?} failed; see above");
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

fn parse(text: &str) -> Option<Range<u32>> {
    let (start, end) = text.split_once("..")?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_its_own_reproducible_seed() {
        assert_eq!(Run::of("A1", 7), Run::of("A1", 7));
        assert_ne!(Run::of("A1", 7).seed, Run::of("A1", 8).seed);
        assert_ne!(Run::of("A1", 7).seed, Run::of("A2", 7).seed);
        assert_eq!(parse("40..60"), Some(40..60));
        assert_eq!(parse("40"), None);
    }

    #[tokio::test]
    async fn a_failed_run_fails_the_row_and_stops_no_other_run() {
        let ended = Mutex::new(Vec::new());
        let row = runs("X1", 3).side_by_side(2, |run| {
            let ended = &ended;
            async move {
                assert!(run.number != 1, "the second is meant to fail");
                ended.lock().unwrap().push(run.number);
            }
        });
        let outcome = AssertUnwindSafe(row).catch_unwind().await;
        assert!(outcome.unwrap_err().downcast_ref::<String>().unwrap().contains("runs [1] failed"));
        assert_eq!(ended.into_inner().unwrap(), [0, 2]);
    }
}
