//! The command line. It is validated as a whole before anything else happens.

mod parse;
mod values;

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    chat::{AllowedEndpoint, KeyFormat},
    k8s::{access_review::Secrets, lease::LeaseTiming},
    observability::logging::{self, Format},
    proxy::ProxyUrl,
};

pub use self::parse::parse;
use self::values::{address, endpoint, namespace, object_name, proxy, seconds, secret, watched_namespace};

/// A parsed command line.
#[derive(Debug)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Report whether the operator would find the CRDs and permissions it needs.
    Check(Box<Check>),
    /// Make the operator finish its work, so that it can be removed.
    Drain(Box<Drain>),
    /// Print the custom resource definitions as YAML.
    Crd,
    /// Print this text to standard output and exit with 0: `--help` and `--version`.
    Print(String),
}

/// Why the command line is invalid, as one line for standard error. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// Clears the custom attributes of Tencent Cloud Chat groups, as requested by Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "groupattr-operator", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run the operator until SIGTERM.
    #[command(
        after_help = "The operator connects to Kubernetes as kubectl does: KUBECONFIG, ~/.kube/config, or in a pod its\n\
                      service account.\n\
                      Each flag can also be set by the environment variable shown with it, lists separated by commas.\n\
                      An empty variable counts as unset, and a flag overrides its variable."
    )]
    Run(Run),
    /// Report whether `run` with the same flags would find its CRDs and RBAC permissions. Changes nothing.
    #[command(after_help = "The exit code is 0 if nothing is missing, else 1.")]
    Check(Check),
    /// Make the operator finish what is in flight and hand over its lease, so that it can be removed.
    #[command(after_help = "The exit code is 0 once nothing is in flight and there is no leader, else 1.\n\
                      After success no replica leads for one minute; with --deployment no pod and no lease is left.")]
    Drain(Drain),
    /// Print the custom resource definitions: groupattr-operator crd | kubectl apply --server-side -f -
    Crd,
}

/// The flags of `run`, validated both individually and in combination.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)] // The comments below are the --help texts, so they have no backticks.
pub struct Run {
    /// Watch only the ChatApps and resets of this namespace, which takes RBAC permissions in it only; repeatable.
    /// Disables ClusterChatApps. Default: all namespaces.
    #[arg(long = "watch-namespace", value_name = "NS", value_delimiter = ',', value_parser = watched_namespace)]
    pub watch_namespaces: Vec<String>,

    /// The operator's own namespace, which holds its lease and the Secrets of ClusterChatApps.
    /// In a pod, the default is the pod's namespace.
    #[arg(long, value_name = "NS", default_value = "default", value_parser = namespace)]
    pub namespace: String,

    /// A host that spec.endpoint of a ChatApp may use; the default port is 443; repeatable. http:// is accepted
    /// for loopback hosts only.
    #[arg(long = "allow-endpoint", value_name = "HOST[:PORT]", value_delimiter = ',', value_parser = endpoint)]
    pub allow_endpoints: Vec<AllowedEndpoint>,

    /// HTTP proxy for the calls to the vendor, by CONNECT; http://HOST:PORT. A user and a password belong into the
    /// variable. HTTPS_PROXY has no say in these calls, only in those to the API server, as with kubectl.
    #[arg(long, value_name = "URL", value_parser = proxy)]
    pub https_proxy: Option<ProxyUrl>,

    /// Which Secret entries are accepted as an account's key: 64 hexadecimal digits, as the chat console shows
    /// them, or any text without white space. Calls are signed with it, and the signature goes to the ChatApp's host.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "hex64")]
    pub key_format: KeyFormat,

    /// Elect one active process through a Lease. Disable it only if two processes can never run at once.
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

    /// How long other replicas wait before they take a lease that is no longer renewed.
    #[arg(long = "lease-duration-seconds", value_name = "N", default_value = "15", value_parser = seconds)]
    pub lease_duration: Duration,

    /// How long a leader keeps acting without renewing its lease; less than the lease duration.
    #[arg(long = "lease-renew-deadline-seconds", value_name = "N", default_value = "10", value_parser = seconds)]
    pub lease_renew_deadline: Duration,

    /// Interval between attempts to acquire or renew the lease; less than the renew deadline.
    #[arg(long = "lease-retry-seconds", value_name = "N", default_value = "2", value_parser = seconds)]
    pub lease_retry: Duration,

    /// Address on which /livez, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// Format of the log on standard error. Default: text on a terminal, else json.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<Format>,

    /// Log level, or levels by module: info, debug, groupattr::controller=trace. Other libraries are never
    /// logged, because their messages can contain credentials.
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = logging::checked_filter)]
    pub log_filter: String,

    /// Time after SIGTERM to finish and record the attempts in flight. Keep it below the pod's
    /// terminationGracePeriodSeconds.
    #[arg(long = "shutdown-grace-seconds", value_name = "N", default_value = "25", value_parser = seconds)]
    pub shutdown_grace: Duration,
}

/// The flags of `check`: those of `run`, plus the Secrets whose permissions it checks.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)]
pub struct Check {
    /// The flags that the operator would be started with.
    #[command(flatten)]
    pub run: Run,

    /// A Secret that the operator may read, if RBAC lists them by name; repeatable. Default: all Secrets.
    #[arg(long = "secret-name", value_name = "NAME", value_delimiter = ',', value_parser = secret)]
    pub secret_names: Vec<String>,

    /// Check no permission on Secrets, because each namespace grants the operator access to its own.
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
    /// The Secrets whose `get` permission is checked.
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
                "--no-secrets and --secret-name contradict each other: use only one of them".to_owned(),
            ));
        }
        Ok(Self { run: self.run.checked()?, ..self })
    }
}

/// The flags of `drain`: those of `run`, so that both commands accept the same flags, plus its own.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::doc_markdown)]
pub struct Drain {
    /// The flags that the operator was started with. A drain uses the namespace, lease and log flags.
    #[command(flatten)]
    pub run: Run,

    /// How long to wait before giving up.
    #[arg(long = "timeout-seconds", value_name = "N", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,

    /// Scale this Deployment in the operator's namespace to zero, wait until its pods are gone, and delete
    /// the lease. Required with --leader-elect=false.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub deployment: Option<String>,
}

impl Drain {
    fn checked(mut self) -> Result<Self, UsageError> {
        self.run = self.run.checked()?;
        if !self.run.leader_elect && self.deployment.is_none() {
            return Err(UsageError(
                "drain with --leader-elect=false needs --deployment NAME: without leader election there is no lease \
                 to wait for, only pods"
                    .to_owned(),
            ));
        }
        Ok(self)
    }
}

impl Run {
    /// The lease flags, in the form that leader election takes.
    #[must_use]
    pub fn lease_timing(&self) -> LeaseTiming {
        LeaseTiming {
            duration: self.lease_duration,
            renew_deadline: self.lease_renew_deadline,
            retry: self.lease_retry,
        }
    }

    fn checked(mut self) -> Result<Self, UsageError> {
        self.watch_namespaces.sort();
        self.watch_namespaces.dedup();
        let LeaseTiming { duration: span, renew_deadline: deadline, retry } = self.lease_timing();
        if self.leader_elect && !(retry < deadline && deadline < span) {
            return Err(UsageError(format!(
                "--lease-retry-seconds {} must be less than --lease-renew-deadline-seconds {}, which must be less than \
                 --lease-duration-seconds {}; for example 2, 10 and 15",
                retry.as_secs(),
                deadline.as_secs(),
                span.as_secs()
            )));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
