//! The command line.

use std::{path::PathBuf, time::Duration};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Runs the fault matrix: the tests of `cargo test` again, but each of them very often.

Usage: cargo campaign [ROW]... [--scale FACTOR] [--for TIME] [--fresh] [--report FILE]
       cargo campaign --attacks [--for TIME]

  ROW              only these rows (A1, C2, …); all of them without
  --scale FACTOR   so much of the number of runs that each row is meant to have (0.1, 1, 2; default 1)
  --for TIME       stop after this time (90s, 20m, 8h), with what has been done by then
  --attacks        instead, all attacks of the threat model at once beside a healthy tenant, for --for (default 5m):
                   fails if its resets take more than 1.2 times as long as undisturbed, or if memory grows
  --fresh          begin anew, instead of going on where the last campaign stopped
  --report FILE    where the report goes (default target/campaign/report.md)
  --help           print this text

What was done is kept in target/campaign, so Ctrl-C and another day are no loss. The output of runs that failed is
there as well, with the command that repeats exactly that run.
Exit code: 0 when all runs passed, 1 when not, 2 for a wrong command line.";

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Args {
    /// All of them if empty.
    pub(crate) rows: Vec<String>,
    /// All attacks at once, and not the rows.
    pub(crate) attacks: bool,
    pub(crate) scale: f64,
    pub(crate) time: Option<Duration>,
    pub(crate) fresh: bool,
    pub(crate) report: PathBuf,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    Help,
    Campaign(Args),
}

/// Reads the arguments after the program's name. The error is one line.
pub(crate) fn parse(given: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut args = Args {
        rows: Vec::new(),
        attacks: false,
        scale: 1.0,
        time: None,
        fresh: false,
        report: PathBuf::from("target/campaign/report.md"),
    };
    let mut given = given;
    while let Some(arg) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("error: {arg} needs a value"));
        match arg.as_str() {
            // The alias of `cargo campaign` ends with one of these, and who is used to cargo types another.
            "--" => {}
            "--help" | "-h" => return Ok(Wish::Help),
            "--fresh" => args.fresh = true,
            "--attacks" => args.attacks = true,
            "--scale" => {
                let text = value()?;
                let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
                args.scale = factor.ok_or_else(|| format!("error: {text:?} is no factor such as 0.1"))?;
            }
            "--for" => {
                let text = value()?;
                args.time =
                    Some(time(&text).ok_or_else(|| format!("error: {text:?} is no time such as 20m"))?);
            }
            "--report" => args.report = PathBuf::from(value()?),
            flag if flag.starts_with('-') => {
                return Err(format!("error: `{flag}` is not known here; see --help"));
            }
            row => args.rows.push(row.to_uppercase()),
        }
    }
    if args.attacks && !args.rows.is_empty() {
        return Err("error: --attacks is no row; leave the rows out".to_owned());
    }
    Ok(Wish::Campaign(args))
}

fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &[&str]) -> Result<Wish, String> {
        parse(given.iter().map(|&arg| arg.to_owned()))
    }

    #[test]
    fn rows_and_flags_are_read_and_others_refused_in_one_line() {
        let Ok(Wish::Campaign(args)) = parsed(&["--", "a1", "C2", "--scale", "0.5", "--for", "20m"]) else {
            panic!("a campaign");
        };
        assert_eq!(args.rows, ["A1", "C2"]);
        assert_eq!((args.scale, args.time), (0.5, Some(Duration::from_mins(20))));
        assert_eq!(parsed(&["-h"]), Ok(Wish::Help));
        let Ok(Wish::Campaign(args)) = parsed(&["--attacks", "--for", "90s"]) else { panic!("a campaign") };
        assert!(args.attacks && args.time == Some(Duration::from_secs(90)));
        for wrong in [
            &["--attacks", "A1"][..],
            &["--scale", "none"],
            &["--scale", "-1"],
            &["--for", "20"],
            &["--for"],
            &["--fast"],
        ] {
            let said = parsed(wrong).unwrap_err();
            assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
        }
    }
}
