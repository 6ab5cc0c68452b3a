//! The way to the API server, and how trouble on it is worded.

use std::{env, error::Error as _, io, time::Duration};

use kube::{
    Client, Config,
    client::AuthError,
    config::{KubeConfigOptions, KubeconfigError},
};

use crate::text::one_line;

/// Longer than a watch may be silent (they end after 200 s), so only a dead connection meets it. Single calls have
/// shorter limits of their own, where they are made.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
/// Shorter than any single call's limit, so that a call has time for a second address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two clients with connections of their own.
#[derive(Clone)]
pub struct Clients {
    /// For everything but the lease.
    pub main: Client,
    /// For the lease alone: its renewals never queue behind other calls.
    pub lease: Client,
}

/// Why there is no client; one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a kubeconfig nor a pod.
    #[error(
        "no Kubernetes cluster: there is no kubeconfig and this is not a pod; set KUBECONFIG to a kubeconfig file"
    )]
    NoCluster,
    /// A kubeconfig that is there, or that KUBECONFIG names, cannot be used.
    #[error("the kubeconfig cannot be used: {0}; `kubectl cluster-info` must work with the same KUBECONFIG")]
    Kubeconfig(String),
    /// A pod without a usable service account.
    #[error(
        "this pod has no usable service account: {0}; mount its token (automountServiceAccountToken or projected)"
    )]
    ServiceAccount(String),
}

/// Connects as kubectl does: `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
///
/// Unlike [`Config::infer`] it does not turn to the pod's service account if a kubeconfig is there but broken, and
/// takes no debugging overrides from the environment.
pub async fn connect() -> Result<Clients, ConnectError> {
    let config = tuned(configured().await?);
    let client = |config: Config| {
        Client::try_from(config).map_err(|error| ConnectError::Kubeconfig(describe_error(&error)))
    };
    Ok(Clients { main: client(config.clone())?, lease: client(config)? })
}

async fn configured() -> Result<Config, ConnectError> {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let (named, in_pod) = (set("KUBECONFIG"), set("KUBERNETES_SERVICE_HOST"));
    match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => Ok(config),
        Err(KubeconfigError::FindPath | KubeconfigError::ReadConfig(..)) if !named && in_pod => {
            Config::incluster()
                .map_err(|error| ConnectError::ServiceAccount(one_line(&error.to_string(), 300)))
        }
        Err(KubeconfigError::FindPath) => Err(ConnectError::NoCluster),
        Err(KubeconfigError::ReadConfig(error, _)) if !named && error.kind() == io::ErrorKind::NotFound => {
            Err(ConnectError::NoCluster)
        }
        Err(error) => Err(ConnectError::Kubeconfig(unusable(&error))),
    }
}

fn tuned(mut config: Config) -> Config {
    // It would repeat even a PATCH, and wait as long as a `Retry-After` says.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let agent = concat!("groupattr-operator/", env!("CARGO_PKG_VERSION"));
    if let (Ok(name), Ok(value)) = ("user-agent".parse(), agent.parse()) {
        config.headers.push((name, value));
    }
    config
}

/// A parser's message can quote the file, and with it a key: the place is enough.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("not a kubeconfig, see line {}", place.line()),
            None => "not a kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(error, path) => format!("cannot read {}: {error}", path.display()),
        KubeconfigError::CurrentContextNotSet => "it sets no current-context".to_owned(),
        other => one_line(&other.to_string(), 300),
    }
}

/// One line about a failed call to the API server.
///
/// Texts that can quote an answer's body (it may be a Secret) or a credential plug-in's output are left out.
#[must_use]
pub fn describe_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(_) if is_unauthorized(error) => {
            "the API server does not accept the token or certificate (401): \
                                                      it is wrong or has expired; make a new one"
                .to_owned()
        }
        kube::Error::Api(status) => {
            format!(
                "the API server answered {} {}: {}",
                status.code,
                status.reason,
                one_line(&status.message, 300)
            )
        }
        kube::Error::Auth(error) => credentials(error),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            "the API server's answer does not decode".to_owned()
        }
        kube::Error::ProxyProtocolDisabled { .. } | kube::Error::ProxyProtocolUnsupported { .. } => {
            "proxy-url is not supported".to_owned()
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => {
            let mut cause: &(dyn std::error::Error + 'static) = error;
            loop {
                if let Some(error) = cause.downcast_ref::<AuthError>() {
                    return credentials(error);
                }
                let Some(next) = cause.source() else { break };
                cause = next;
            }
            format!("the API server cannot be reached: {}", one_line(&cause.to_string(), 300))
        }
        other => one_line(&other.source().map_or_else(|| other.to_string(), ToString::to_string), 300),
    }
}

/// What stands in the way of something that is tried again.
#[derive(Clone, Debug)]
pub struct Obstacle {
    /// In one line.
    pub line: String,
    /// A right or an object is missing: trying again helps only if somebody adds it.
    pub is_final: bool,
}

impl Obstacle {
    /// From an answer of the API server, which `line` says in words.
    #[must_use]
    pub fn new(error: &kube::Error, line: String) -> Self {
        let is_final =
            matches!(error, kube::Error::Api(status) if status.is_forbidden() || status.is_not_found());
        Self { line, is_final }
    }
}

/// Whether the API server does not know who is asking.
pub(super) fn is_unauthorized(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 401)
}

fn credentials(error: &AuthError) -> String {
    match error {
        AuthError::ReadTokenFile(error, path) => format!("cannot read the token {}: {error}", path.display()),
        AuthError::AuthExecStart(error) => {
            format!("the kubeconfig's credential plug-in does not start: {error}")
        }
        AuthError::AuthExecRun { cmd, out } => {
            format!("the credential plug-in {cmd} failed with {}", out.status)
        }
        _ => "the credentials of the kubeconfig cannot be used".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_broken_kubeconfig_or_answer_is_repeated() {
        let yaml = "apiVersion: v1\nusers: [{name: me, user: {token: s3cret, token: s3cret}]\nclusters: 7\n";
        let error = kube::config::Kubeconfig::from_yaml(yaml).unwrap_err();
        let said = ConnectError::Kubeconfig(unusable(&error)).to_string();
        assert!(!said.contains("s3cret") && said.lines().count() == 1 && said.contains("line "), "{said}");

        let error = serde_json::from_str::<u8>("\"s3cret\"").unwrap_err();
        assert!(!describe_error(&kube::Error::SerdeError(error)).contains("s3cret"));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_said_with_its_cause() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = tuned(Config::new(format!("http://{closed}").parse().unwrap()));
        assert!(!config.default_retry && !config.accept_invalid_certs);
        let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
        let said = describe_error(&error);
        assert!(said.starts_with("the API server cannot be reached: ") && said.contains("refused"), "{said}");
    }
}
