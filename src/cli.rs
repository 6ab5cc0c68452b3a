//! The command line, checked as a whole before anything else happens.

use std::{env, ffi::OsString, fs, net::SocketAddr, time::Duration};

use clap::{
    Arg, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
    parser::ValueSource,
};

use crate::{
    chat::{AllowedEndpoint, KeyFormat},
    k8s::{access_review::Secrets, lease::LeaseTiming},
    observability::logging::{self, Format},
};

/// Where Kubernetes tells a pod its own namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Be the operator.
    Run(Box<Run>),
    /// Say whether the operator would find what it needs.
    Check(Box<Check>),
    /// Have the operator finish, so that it can be removed.
    Drain(Box<Drain>),
    /// Print the custom resource definitions as YAML.
    Crd,
    /// Print this text to standard output and end with 0: `--help` and `--version`.
    Print(String),
}

/// Why the command line cannot be used: one line for standard error. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// Clears the custom attributes of Tencent Cloud Chat groups as Kubernetes objects ask for it.
#[derive(Debug, Parser)]
#[command(name = "groupattr-operator", version, args_override_self = true)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the operator until SIGTERM.
    #[command(
        after_help = "Kubernetes is reached as kubectl reaches it: KUBECONFIG or ~/.kube/config, in a pod its service account.\n\
                      Each flag can be given as the variable shown with it, lists separated by commas; an empty\n\
                      variable counts as unset and a flag wins over its variable."
    )]
    Run(Run),
    /// Say whether `run` with the same flags would find its CRDs and its rights; change nothing.
    #[command(after_help = "The exit code is 0 if nothing is missing, else 1.")]
    Check(Check),
    /// Have the operator finish what is in flight and hand its lease over, so that it can be removed.
    #[command(after_help = "The exit code is 0 if nothing is in flight any more and nobody leads, else 1.\n\
                      Nobody leads for the next minute then; with --deployment no pod is left, and no lease.")]
    Drain(Drain),
    /// Print the custom resource definitions: groupattr-operator crd | kubectl apply --server-side -f -
    Crd,
}

/// The flags of `run`, all of them usable, alone and together.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)] // The comments below are the help texts: no backticks.
pub struct Run {
    /// Serve the ChatApps and resets of this namespace only, with rights in it only; repeatable.
    /// ClusterChatApps are off then. Without it: all namespaces.
    #[arg(long = "watch-namespace", value_name = "NS", value_delimiter = ',', value_parser = watched)]
    pub watch_namespaces: Vec<String>,

    /// The operator's own namespace: its lease and the Secrets of ClusterChatApps are here.
    /// In a pod the default is the pod's namespace.
    #[arg(long, value_name = "NS", default_value = "default", value_parser = namespace)]
    pub namespace: String,

    /// A host that spec.endpoint of ChatApps may name, without a port 443; repeatable. http:// works for
    /// loopback only.
    #[arg(long = "allow-endpoint", value_name = "HOST[:PORT]", value_delimiter = ',', value_parser = endpoint)]
    pub allow_endpoints: Vec<AllowedEndpoint>,

    /// What counts as an account's key: 64 hexadecimal digits, as the chat console shows them, or any text
    /// without blanks. Whatever counts is signed with, and the signature goes to the host that the ChatApp names.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "hex64")]
    pub key_format: KeyFormat,

    /// Elect one active process by a Lease. Switch it off only if there can never be two processes.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub leader_elect: bool,

    /// How long others wait for a leader that has gone silent.
    #[arg(long = "lease-duration-seconds", value_name = "N", default_value = "15", value_parser = seconds)]
    pub lease_duration: Duration,

    /// How long a leader acts without having renewed its lease; less than the lease's duration.
    #[arg(long = "lease-renew-deadline-seconds", value_name = "N", default_value = "10", value_parser = seconds)]
    pub lease_renew_deadline: Duration,

    /// Time between two attempts to take or renew the lease; less than the renew deadline.
    #[arg(long = "lease-retry-seconds", value_name = "N", default_value = "2", value_parser = seconds)]
    pub lease_retry: Duration,

    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// Shape of the log lines on standard error. Without it: text on a terminal, else json.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,

    /// Level, or levels by module: info, debug, groupattr::controller=trace. Other libraries stay silent,
    /// since what they log can hold credentials.
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = logging::checked_filter)]
    pub log_filter: String,

    /// After SIGTERM: time to finish and record the attempts in flight. Keep it below the pod's
    /// terminationGracePeriodSeconds.
    #[arg(long = "shutdown-grace-seconds", value_name = "N", default_value = "25", value_parser = seconds)]
    pub shutdown_grace: Duration,
}

/// The flags of `check`: those of `run`, and what only a check has to be told.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)]
pub struct Check {
    /// What the operator would be started with.
    #[command(flatten)]
    pub run: Run,

    /// A Secret that the operator may read, if its rights name them; repeatable. Without it: all Secrets.
    #[arg(long = "secret-name", value_name = "NAME", value_delimiter = ',', value_parser = secret)]
    pub secret_names: Vec<String>,

    /// Ask for no right to Secrets: each namespace grants the operator its own.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub no_secrets: bool,
}

impl Check {
    /// Which Secrets the operator would be allowed to read.
    #[must_use]
    pub fn secrets(&self) -> Secrets<'_> {
        match self.secret_names.as_slice() {
            _ if self.no_secrets => Secrets::None,
            [] => Secrets::All,
            names => Secrets::Named(names),
        }
    }

    fn checked(self) -> Result<Self, UsageError> {
        if self.no_secrets && !self.secret_names.is_empty() {
            return Err(UsageError(
                "--no-secrets and --secret-name contradict each other: leave one of them out".to_owned(),
            ));
        }
        Ok(Self { run: self.run.checked()?, ..self })
    }
}

/// The flags of `drain`: those of `run`, so that both can be given the same, and what only a drain has to be told.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)]
pub struct Drain {
    /// What the operator was started with. What says where and how it leads counts here: the namespace, the lease, the
    /// log.
    #[command(flatten)]
    pub run: Run,

    /// How long to wait before giving up.
    #[arg(long = "timeout-seconds", value_name = "N", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,

    /// Scale this Deployment in the operator's namespace to zero, wait until its pods are gone, and delete
    /// the lease. Needed with --leader-elect=false.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub deployment: Option<String>,
}

impl Drain {
    fn checked(mut self) -> Result<Self, UsageError> {
        self.run = self.run.checked()?;
        if !self.run.leader_elect && self.deployment.is_none() {
            return Err(UsageError(
                "drain with --leader-elect=false needs --deployment NAME: without election there is no lease to wait \
                 for, only pods"
                    .to_owned(),
            ));
        }
        Ok(self)
    }
}

impl Run {
    /// The lease flags as leader election takes them.
    #[must_use]
    pub fn lease_timing(&self) -> LeaseTiming {
        LeaseTiming {
            span: self.lease_duration,
            deadline: self.lease_renew_deadline,
            retry: self.lease_retry,
        }
    }

    fn checked(mut self) -> Result<Self, UsageError> {
        self.watch_namespaces.sort();
        self.watch_namespaces.dedup();
        let LeaseTiming { span, deadline, retry } = self.lease_timing();
        if self.leader_elect && !(retry < deadline && deadline < span) {
            return Err(UsageError(format!(
                "--lease-retry-seconds {} must be less than --lease-renew-deadline-seconds {}, and that less than \
                 --lease-duration-seconds {}; 2, 10 and 15 would do",
                retry.as_secs(),
                deadline.as_secs(),
                span.as_secs()
            )));
        }
        Ok(self)
    }
}

/// Reads the command line and, for flags not given there, the environment variables `GROUPATTR_…`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let namespace = fs::read_to_string(POD_NAMESPACE).ok().filter(|name| !name.trim().is_empty());
    interpret(args.into_iter().collect(), |name| env::var_os(name), namespace.as_deref())
}

/// Variables become flags of a second pass. The first pass has proved the flags, so whatever the second one
/// refuses is a variable's fault.
fn interpret(
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
    let Some((verb, given)) = matches.subcommand() else { return Ok(Command::Crd) };
    let mut added = Vec::new();
    let arguments = grammar.find_subcommand(verb).into_iter().flat_map(clap::Command::get_arguments);
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
    // Right behind the program's name and the verb: a `--` further on would turn them into plain words.
    args.splice(2..2, added);
    let line = grammar
        .try_get_matches_from(&args)
        .and_then(|matches| Line::from_arg_matches(&matches))
        .map_err(|error| usage_error(&error, |flag| variable_of(flag.trim_start_matches("--"))))?;
    match line.verb {
        Verb::Run(run) => Ok(Command::Run(Box::new(run.checked()?))),
        Verb::Check(check) => Ok(Command::Check(Box::new(check.checked()?))),
        Verb::Drain(drain) => Ok(Command::Drain(Box::new(drain.checked()?))),
        Verb::Crd => Ok(Command::Crd),
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
    let verbs = ["run", "check", "drain"];
    verbs
        .iter()
        .fold(Line::command(), |line, verb| line.mut_subcommand(verb, |one| one.mut_args(with_variable)))
}

/// `lease-retry-seconds` → `GROUPATTR_LEASE_RETRY_SECONDS`
fn variable_of(long: &str) -> String {
    format!("GROUPATTR_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// Clap's errors are small pages; this is the one line that matters, with `blame` for the flag's name.
fn usage_error(error: &clap::Error, blame: impl Fn(&str) -> String) -> UsageError {
    let context = |kind| error.get(kind).map(|value| value.to_string().chars().take(200).collect::<String>());
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let argument = argument.split([' ', '=', '[']).next().unwrap_or_default();
    UsageError(match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "say what to do: `groupattr-operator run` (the operator), `check` (its CRDs and rights), `drain` (before it \
             is removed) or `crd` (print the CRDs)"
                .to_owned()
        }
        ErrorKind::InvalidSubcommand => format!(
            "unknown command {:?}; there are `run` (the operator), `check` (its CRDs and rights), `drain` (before it is \
             removed) and `crd` (print the CRDs)",
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
                .unwrap_or_else(|| "it needs a value".to_owned());
            format!("{}: unusable value {value:?}: {}", blame(argument), remedy.replace('\n', " "))
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(n @ 1..=3600) => Ok(Duration::from_secs(n)),
        _ => Err("use whole seconds from 1 to 3600".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "use IP:PORT, for example 0.0.0.0:8080 or [::]:8080".to_owned())
}

/// A DNS-1123 label: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_plain = name.bytes().next().is_some_and(plain) && name.bytes().last().is_some_and(plain);
    if ends_plain && name.len() <= 63 && name.bytes().all(|b| plain(b) || b == b'-') {
        return Ok(name.to_owned());
    }
    Err("use a namespace's name: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends".to_owned())
}

/// An element of a list that is there and empty is a slip, of a template say, and must not turn into "all".
fn watched(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("name a namespace, or leave it out altogether to serve all namespaces".to_owned());
    }
    namespace(text)
}

/// A DNS-1123 subdomain, as the names of most objects are: labels with a full stop between them.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| namespace(part).is_ok_and(|same| same == part))
}

fn object_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if is_subdomain(name) {
        return Ok(name.to_owned());
    }
    Err("use a Deployment's name: a-z, 0-9, - and ., with a letter or digit at both ends".to_owned())
}

fn endpoint(text: &str) -> Result<AllowedEndpoint, String> {
    if text.trim().is_empty() {
        return Err("name a host, or leave it out altogether to allow none".to_owned());
    }
    text.trim().parse::<AllowedEndpoint>().map_err(|error| error.to_string())
}

fn secret(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("name a Secret, or leave it out altogether to ask about all Secrets".to_owned());
    }
    if is_subdomain(name) {
        return Ok(name.to_owned());
    }
    Err("use a Secret's name: at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends"
        .to_owned())
}

#[cfg(test)]
mod tests;
