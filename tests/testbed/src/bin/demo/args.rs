//! The command line.

/// What `--help` says.
pub(crate) const HELP: &str = "\
Shows the operator at work: a real API server, a simulated vendor, the operator as a real process.

Usage: cargo demo [--keep]

  --keep   stay up after the show, to look around with kubectl, until Ctrl-C
  --help   print this text

The first run builds the operator (needs Rust) and looks for a prebuilt Kubernetes control plane: in the folder that
KUBEBUILDER_ASSETS names, in /usr/local/kubebuilder/bin, and then among the downloads for envtest. If there is none, it
builds one from source (needs Go), which takes minutes, once. The show itself takes less than one minute.

Apart from that, nothing outside this machine is called, and no cluster of yours is touched. Colours are off when
NO_COLOR is set.
Exit code: 0 when all went as announced, 1 when not, 2 for a wrong command line, 130 after Ctrl-C.";

/// How the show is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Args {
    /// Stay up afterwards.
    pub(crate) keep: bool,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Help,
    Show(Args),
}

/// Reads the arguments after the program's name. The error is one line.
pub(crate) fn parse(given: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut args = Args { keep: false };
    for arg in given {
        match arg.as_str() {
            // The alias of `cargo demo` ends with one of these, and who is used to cargo types another.
            "--" => {}
            "--keep" => args.keep = true,
            "--help" | "-h" => return Ok(Wish::Help),
            _ => {
                return Err(format!("error: `{arg}` is not known here; there are --keep and --help"));
            }
        }
    }
    Ok(Wish::Show(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &[&str]) -> Result<Wish, String> {
        parse(given.iter().map(|&arg| arg.to_owned()))
    }

    #[test]
    fn flags_are_read_and_others_refused_in_one_line() {
        assert_eq!(parsed(&[]), Ok(Wish::Show(Args { keep: false })));
        assert_eq!(parsed(&["--keep"]), Ok(Wish::Show(Args { keep: true })));
        assert_eq!(parsed(&["--keep", "-h"]), Ok(Wish::Help));
        let refusal = parsed(&["--kep"]).unwrap_err();
        assert!(refusal.contains("--kep") && !refusal.contains('\n'), "{refusal}");
    }
}
