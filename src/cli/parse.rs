//! Reads the arguments and the environment variables, and reports what is wrong in one line.
//!
//! clap's own `env` is not used: it takes an empty variable for a value, and its errors do not name the variable.

use std::{env, ffi::OsString, fs};

use clap::{
    Arg, CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ErrorKind},
    parser::ValueSource,
};

use super::{Cli, CliCommand, Command, UsageError};
use crate::proxy::ProxyUrl;

/// The file in which Kubernetes gives a pod its own namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Parses the command line and, for flags not given there, the environment variables `GROUPATTR_…`.
///
/// # Errors
///
/// [`UsageError`] names the flag or variable that is unknown or has an invalid value.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let namespace = fs::read_to_string(POD_NAMESPACE).ok().filter(|name| !name.trim().is_empty());
    interpret(args.into_iter().collect(), |name| env::var_os(name), namespace.as_deref())
}

/// Parses in two passes: the flags alone, then with the environment variables added as flags. The first pass has
/// validated the flags, so an error of the second one is due to a variable.
pub(super) fn interpret(
    mut args: Vec<OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
    pod_namespace: Option<&str>,
) -> Result<Command, UsageError> {
    let grammar = grammar();
    let matches = match grammar.clone().try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Command::Print(error.to_string()));
        }
        Err(error) => return Err(usage_error(&error, ToOwned::to_owned)),
    };
    let Some((subcommand, given)) = matches.subcommand() else { return Ok(Command::Crd) };
    let given_proxy = given.try_get_one::<ProxyUrl>("https_proxy").ok().flatten();
    if given_proxy.is_some_and(ProxyUrl::has_credentials) {
        return Err(UsageError(format!(
            "--https-proxy must not have a user or a password, since everybody on the machine can read a command line: \
             put the whole URL into {}",
            variable_of("https-proxy")
        )));
    }
    let mut added = Vec::new();
    let arguments = grammar.find_subcommand(subcommand).into_iter().flat_map(clap::Command::get_arguments);
    for (arg, long) in arguments.filter_map(|arg| Some((arg, arg.get_long()?))) {
        if given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        let fallback = pod_namespace.filter(|_| long == "namespace").map(OsString::from);
        if let Some(value) = variable(&variable_of(long)).filter(|value| !value.is_empty()).or(fallback) {
            let mut flag = OsString::from(format!("--{long}="));
            flag.push(value);
            added.push(flag);
        }
    }
    // Insert right after the program's name and the subcommand: after a `--` they would be positional arguments.
    args.splice(2..2, added);
    let cli = grammar
        .try_get_matches_from(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| usage_error(&error, |flag| variable_of(flag.trim_start_matches("--"))))?;
    match cli.command {
        CliCommand::Run(run) => Ok(Command::Run(Box::new(run.checked()?))),
        CliCommand::Check(check) => Ok(Command::Check(Box::new(check.checked()?))),
        CliCommand::Drain(drain) => Ok(Command::Drain(Box::new(drain.checked()?))),
        CliCommand::Crd => Ok(Command::Crd),
    }
}

fn grammar() -> clap::Command {
    let with_variable = |arg: Arg| match (arg.get_long().map(variable_of), arg.get_help()) {
        (Some(name), Some(help)) => {
            let help = format!("{help} [env: {name}]");
            arg.help(help)
        }
        _ => arg,
    };
    let subcommands = ["run", "check", "drain"];
    subcommands
        .iter()
        .fold(Cli::command(), |cli, name| cli.mut_subcommand(name, |one| one.mut_args(with_variable)))
}

/// `lease-retry-seconds` → `GROUPATTR_LEASE_RETRY_SECONDS`
pub(super) fn variable_of(long: &str) -> String {
    format!("GROUPATTR_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// Reduces clap's multi-line error to one line. `blame` turns the flag's name into the name to report.
fn usage_error(error: &clap::Error, blame: impl Fn(&str) -> String) -> UsageError {
    let context = |kind| error.get(kind).map(|value| value.to_string().chars().take(200).collect::<String>());
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let argument = argument.split([' ', '=', '[']).next().unwrap_or_default();
    UsageError(match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "missing command: use `groupattr-operator run` (the operator), `check` (its CRDs and permissions), `drain` \
             (before it is removed) or `crd` (print the CRDs)"
                .to_owned()
        }
        ErrorKind::InvalidSubcommand => format!(
            "unknown command {:?}; use `run` (the operator), `check` (its CRDs and permissions), `drain` (before it is \
             removed) or `crd` (print the CRDs)",
            context(ContextKind::InvalidSubcommand).unwrap_or_default()
        ),
        ErrorKind::UnknownArgument => match context(ContextKind::SuggestedArg) {
            Some(known) => format!("unknown argument {argument:?}; did you mean {known}?"),
            None => format!("unknown argument {argument:?}; see `groupattr-operator --help` or `… run --help`"),
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let remedy = std::error::Error::source(error)
                .map(ToString::to_string)
                .or_else(|| Some(format!("use one of {}", context(ContextKind::ValidValue).filter(|v| !v.is_empty())?)))
                .unwrap_or_else(|| "a value is required".to_owned());
            let remedy = remedy.replace('\n', " ");
            if argument == "--https-proxy" && !value.is_empty() {
                // The value may contain a password.
                return UsageError(format!("{}: {remedy}", blame(argument)));
            }
            format!("{}: invalid value {value:?}: {remedy}", blame(argument))
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}
