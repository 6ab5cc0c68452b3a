//! The command line.

use std::env;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures the operator against a real API server and a simulated vendor.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --", bin_name = "cargo bench --", args_conflicts_with_subcommands = true, after_help = super::scenarios::overview())]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) instead: Option<Instead>,

    /// What to measure; without it, everything.
    #[arg(value_name = "SCENARIO", value_parser = super::scenarios::names())]
    pub(crate) scenarios: Vec<String>,

    /// A tenth of the work, in under three minutes: to see that it works, not to quote.
    #[arg(long)]
    pub(crate) quick: bool,

    /// So many runs of each scenario; with three or more, `compare` can tell a difference from noise.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,

    /// Measures this program instead of the one that was just built.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_groupattr-operator"), hide_default_value = true)]
    pub(crate) operator: PathBuf,

    /// Where the results are stored. Without it: a new file below target/bench.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Writes docs/bench.md, its charts and the measured part of docs/scaling.md from the results.
    #[arg(long)]
    pub(crate) write_docs: bool,
}

impl Args {
    /// From the command line, less what cargo adds to that of every bench.
    pub(crate) fn given() -> Self {
        Self::parse_from(env::args_os().filter(|arg| arg != "--bench"))
    }
}

/// What can be done with results that are there already.
#[derive(Debug, Subcommand)]
pub(crate) enum Instead {
    /// Says in which figures two result files differ by more than noise.
    Compare {
        /// Results of one build.
        before: PathBuf,
        /// Results of another.
        after: PathBuf,
    },
    /// Shows a result file again.
    Show {
        /// Results.
        results: PathBuf,
        /// Writes docs/bench.md, its charts and the measured part of docs/scaling.md from them.
        #[arg(long)]
        write_docs: bool,
    },
}
