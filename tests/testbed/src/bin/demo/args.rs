//! The command line.

use clap::Parser;

/// Shows the operator at work: a real API server, a simulated vendor, the operator as a real process.
#[derive(Debug, Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Stay up after the show, to look around with kubectl, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
}

const AFTER_HELP: &str = "\
The first run builds the operator (needs Rust) and looks for a prebuilt Kubernetes control plane: in the folder that
KUBEBUILDER_ASSETS names, in /usr/local/kubebuilder/bin, and then among the downloads for envtest. If there is none, it
builds one from source (needs Go), which takes minutes, once. The show itself takes less than one minute.

Apart from that, nothing outside this machine is called, and no cluster of yours is touched. Colours are off when
NO_COLOR is set.
Exit code: 0 when all went as announced, 1 when not, 2 for a wrong command line, 130 after Ctrl-C.";

impl Args {
    /// From the command line. The alias of `cargo demo` ends with `--`, and who is used to cargo types another.
    pub(crate) fn given() -> Self {
        Self::parse_from(std::env::args_os().filter(|arg| arg != "--"))
    }
}
