//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{
    Parser,
    builder::{StringValueParser, TypedValueParser as _},
};

/// Runs the fault matrix: the tests of `cargo test` again, but each of them very often.
#[derive(Debug, Parser)]
#[command(name = "cargo campaign", bin_name = "cargo campaign", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Only these rows (A1, C2, …); all of them without.
    #[arg(value_name = "ROW", value_parser = StringValueParser::new().map(|row| row.to_uppercase()))]
    pub(crate) rows: Vec<String>,

    /// Instead, all attacks of the threat model at once beside a healthy tenant, for --for (default 5m): fails if its
    /// resets take more than 1.2 times as long as undisturbed, or if memory grows.
    #[arg(long, conflicts_with = "rows")]
    pub(crate) attacks: bool,

    /// So much of the number of runs that each row is meant to have (0.1, 1, 2).
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = scale, allow_hyphen_values = true)]
    pub(crate) scale: f64,

    /// Stop after this time (90s, 20m, 8h), with what has been done by then.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<Duration>,

    /// Begin anew, instead of going on where the last campaign stopped.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Where the report goes.
    #[arg(long, value_name = "FILE", default_value = "target/campaign/report.md")]
    pub(crate) report: PathBuf,
}

const AFTER_HELP: &str = "\
What was done is kept in target/campaign, so Ctrl-C and another day are no loss. The output of runs that failed is
there as well, with the command that repeats exactly that run.
Exit code: 0 when all runs passed, 1 when not, 2 for a wrong command line.";

impl Args {
    /// From the command line. The alias of `cargo campaign` ends with `--`, and who is used to cargo types another.
    pub(crate) fn given() -> Self {
        Self::parse_from(std::env::args_os().filter(|arg| arg != "--"))
    }
}

fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| "use a factor such as 0.1".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    seconds(text).map(Duration::from_secs).ok_or_else(|| "use a time such as 90s, 20m or 8h".to_owned())
}

fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["cargo campaign"], given].concat())
    }

    #[test]
    fn rows_scales_and_times_are_read_and_others_refused() {
        let args = parsed(&["a1", "C2", "--scale", "0.5", "--for", "20m"]).unwrap();
        assert_eq!(args.rows, ["A1", "C2"]);
        assert!((args.scale - 0.5).abs() < f64::EPSILON);
        assert_eq!(args.time, Some(Duration::from_mins(20)));
        let args = parsed(&["--attacks", "--for", "90s"]).unwrap();
        assert!(args.attacks && args.time == Some(Duration::from_secs(90)));
        for wrong in
            [&["--attacks", "A1"][..], &["--scale", "none"], &["--scale", "-1"], &["--for", "20"], &["--for"]]
        {
            assert_eq!(parsed(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
