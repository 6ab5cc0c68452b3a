//! A result file: what was measured, on what, when.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::figures::{Case, Figure};
use super::machine::Machine;

/// Raised when older files can no longer be read.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) format: u32,
    pub(crate) begun: Timestamp,
    pub(crate) took_seconds: u64,
    /// A tenth of the work.
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) scenarios: Vec<Measured>,
}

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) runs: Vec<Run>,
}

/// One run of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What other programs took of this machine's processors meanwhile.
    pub(crate) disturbed_percent: f64,
    pub(crate) cases: Vec<Case>,
}

impl Results {
    pub(crate) fn begin(quick: bool, machine: Machine) -> Self {
        let begun = Timestamp::now();
        Self { format: FORMAT, begun, took_seconds: 0, quick, machine, scenarios: Vec::new() }
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let results: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no result file of this bench", file.display()))?;
        if results.format != FORMAT {
            bail!("{} has format {}, not {FORMAT}: measure again", file.display(), results.format);
        }
        Ok(results)
    }

    pub(crate) fn store(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// A new file below Cargo's target folder.
    pub(crate) fn new_file(&self) -> PathBuf {
        let name = self.begun.strftime("%Y-%m-%dT%H-%M-%SZ.json").to_string();
        Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench").join(name)
    }

    /// The most that other programs took of this machine during any run.
    pub(crate) fn disturbed_percent(&self) -> f64 {
        let runs = self.scenarios.iter().flat_map(|measured| &measured.runs);
        runs.map(|run| run.disturbed_percent).fold(0.0, f64::max)
    }
}

impl Measured {
    /// The values of one figure in all runs.
    pub(crate) fn values(&self, case: &str, figure: &str) -> Vec<f64> {
        let of_run = |run: &Run| {
            let case = run.cases.iter().find(|candidate| candidate.name == case)?;
            Some(case.figure(figure)?.value)
        };
        self.runs.iter().filter_map(of_run).collect()
    }

    /// The names of the cases, in their order.
    pub(crate) fn cases(&self) -> Vec<&str> {
        self.runs
            .first()
            .map(|run| run.cases.iter().map(|case| case.name.as_str()).collect())
            .unwrap_or_default()
    }

    /// One of each figure that some case has, in their order; one that says what is wanted if there is one.
    pub(crate) fn figures(&self) -> Vec<&Figure> {
        let mut figures: Vec<&Figure> = Vec::new();
        for figure in self.runs.iter().flat_map(|run| &run.cases).flat_map(|case| &case.figures) {
            match figures.iter_mut().find(|known| known.name == figure.name) {
                None => figures.push(figure),
                Some(known) if known.wanted.is_none() => *known = figure,
                Some(_) => {}
            }
        }
        figures
    }
}
