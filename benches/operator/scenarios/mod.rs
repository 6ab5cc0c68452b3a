//! What is measured: one scenario a file.

mod accounts;
mod adapting;
mod burst;
mod cost;
mod fairness;
mod latency;
mod neighbours;
mod peer;
mod size;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use futures::future::LocalBoxFuture;

use super::figures::Case;
use super::progress::Progress;

/// In place of a name.
const EVERYTHING: &str = "all";

/// One thing to measure.
pub(crate) struct Scenario {
    /// As on the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is done, in a sentence or two.
    pub(crate) about: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Result<Vec<Case>>>,
}

/// How it is measured.
pub(crate) struct Bench {
    pub(crate) quick: bool,
    /// The program.
    pub(crate) operator: PathBuf,
    pub(crate) progress: Progress,
}

impl Bench {
    /// One of two sizes.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// All scenarios, in the order in which they run and are shown.
pub(crate) const ALL: [Scenario; 9] = [
    burst::SCENARIO,
    cost::SCENARIO,
    latency::SCENARIO,
    fairness::SCENARIO,
    neighbours::SCENARIO,
    adapting::SCENARIO,
    size::SCENARIO,
    accounts::SCENARIO,
    peer::SCENARIO,
];

impl Scenario {
    /// Whether it runs only when it is named, because it builds a program that is not ours.
    pub(crate) fn is_extra(&self) -> bool {
        self.name == "peer"
    }
}

pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// What can be named on the command line.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|scenario| scenario.name).chain([EVERYTHING]))
}

/// Those that the names on the command line ask for.
pub(crate) fn chosen(names: &[String]) -> Vec<&'static Scenario> {
    let everything = names.iter().any(|name| name == EVERYTHING);
    let is_chosen = |scenario: &&Scenario| {
        everything
            || names.is_empty() && !scenario.is_extra()
            || names.iter().any(|name| name == scenario.name)
    };
    ALL.iter().filter(is_chosen).collect()
}

/// For `--help`.
pub(crate) fn overview() -> String {
    let lines = ALL.iter().map(|scenario| {
        let extra = if scenario.is_extra() { " (only when named)" } else { "" };
        format!("  {:<12}{}{extra}", scenario.name, scenario.title)
    });
    format!("Scenarios:\n{}\n  {EVERYTHING:<12}every one of them", lines.collect::<Vec<_>>().join("\n"))
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}
