//! What has been done: the log that the tests write, which is also what a campaign goes on from.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The folder of the campaign, with its log, its seed and the output of runs that failed.
pub(crate) struct State {
    folder: PathBuf,
    pub(crate) seed: u64,
}

/// Runs by their numbers, and whether they passed.
pub(crate) type Done = BTreeMap<u32, bool>;

impl State {
    /// Goes on with what is in the folder, or begins anew.
    pub(crate) fn open(folder: &Path, fresh: bool) -> Result<Self> {
        if fresh && folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(folder.join("failures"))
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join("seed");
        if !file.exists() {
            fs::write(&file, rand::random::<u32>().to_string())?;
        }
        let seed = fs::read_to_string(&file)?.trim().parse().context("target/campaign/seed is no number")?;
        Ok(Self { folder: folder.to_path_buf(), seed })
    }

    /// Where tests note their runs.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("runs.log")
    }

    /// What was done of a row; the last word about a run counts.
    pub(crate) fn done(&self, row: &str) -> Done {
        done_in(&fs::read_to_string(self.log()).unwrap_or_default(), row)
    }

    /// Notes a run that could not note itself.
    pub(crate) fn note_failure(&self, row: &str, number: u32) -> Result<()> {
        let mut log = fs::File::options().create(true).append(true).open(self.log())?;
        writeln!(log, "{row} {number} failed")?;
        Ok(())
    }

    /// Keeps what a batch printed that failed.
    pub(crate) fn keep(&self, batch: &str, output: &[u8]) -> Result<PathBuf> {
        let file = self.folder.join("failures").join(format!("{batch}.log"));
        fs::write(&file, output)?;
        Ok(file)
    }
}

fn done_in(log: &str, row: &str) -> Done {
    let lines = log.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let is_this = words.next()? == row;
        let (number, outcome) = (words.next()?.parse().ok()?, words.next()?);
        is_this.then_some((number, outcome == "passed"))
    });
    lines.collect()
}

/// The next runs to make: from the first that is missing on.
pub(crate) fn next(done: &Done, wanted: u32, batch: u32) -> Option<std::ops::Range<u32>> {
    let first = (0..wanted).find(|number| !done.contains_key(number))?;
    Some(first..wanted.min(first.saturating_add(batch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_goes_on_with_the_first_run_that_is_missing() {
        let log = "A1 0 passed\nA1 1 failed\nA2 2 passed\nA1 3 passed\nA1 1 passed\nA1 4";
        let done = done_in(log, "A1");
        assert_eq!(done, Done::from([(0, true), (1, true), (3, true)]));
        assert_eq!(next(&done, 10, 4), Some(2..6));
        assert_eq!(next(&done, 5, 4), Some(2..5));
        assert_eq!(next(&done, 2, 4), None);
    }
}
