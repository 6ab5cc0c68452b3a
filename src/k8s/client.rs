//! Connects to the API server, and describes failed calls to it.

use std::{env, error::Error as _, io, time::Duration};

use kube::{
    Client, Config,
    client::AuthError,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{
    causes,
    clock_skew::{ClockSkew, measuring_client},
    proxied::client_through,
    proxy_choice::{UnusableProxy, choose},
};
use crate::text::one_line;

/// The API server is asked to end each watch after this many seconds, and kube gives one up that has not ended five
/// seconds later. Only that shows through every load balancer and proxy whether a watch is alive: they answer
/// keepalives themselves. With the time that a new connection takes, a watch that died silently is back within a minute.
pub(crate) const WATCH_SECONDS: u32 = 40;
/// Longer than a watch can be without data, so only a dead connection reaches it. Single calls have shorter timeouts of
/// their own, where they are made.
const READ_TIMEOUT: Duration = Duration::from_secs(48);
/// Shorter than any single call's timeout, so that a call has time to try a second address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients that share no connections.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For everything else.
    pub main: Client,
    /// For watches only, so that one whose connection died is not resumed on an idle connection that died with it.
    pub watches: Client,
    /// For the lease only, so that its renewals never queue behind other calls.
    pub lease: Client,
    /// What their answers say about our clock.
    pub clock_skew: ClockSkew,
}

/// Why there is no client, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no kubeconfig, and the process does not run in a pod.
    #[error(
        "no Kubernetes cluster: there is no kubeconfig and this is not a pod; set KUBECONFIG to a kubeconfig file"
    )]
    NoCluster,
    /// The kubeconfig that exists, or that KUBECONFIG names, is unusable.
    #[error("the kubeconfig cannot be used: {0}; `kubectl cluster-info` must work with the same KUBECONFIG")]
    Kubeconfig(String),
    /// A pod without a usable service account.
    #[error(
        "this pod has no usable service account: {0}; mount its token (automountServiceAccountToken or projected)"
    )]
    ServiceAccount(String),
    /// The kubeconfig or the environment names a proxy that is unusable.
    #[error(transparent)]
    Proxy(#[from] UnusableProxy),
}

/// Connects as kubectl does: `KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
///
/// The way goes through the proxy that the kubeconfig or the environment names, see [`super::proxy_choice`].
///
/// Unlike [`Config::infer`], it does not fall back to the pod's service account if a kubeconfig exists but is broken,
/// and it takes no debugging overrides from the environment.
///
/// # Errors
///
/// [`ConnectError`] if no configuration was found or it is unusable. No call is made to the API server here.
pub(crate) async fn connect() -> Result<Clients, ConnectError> {
    let (config, proxy_url) = configured().await?;
    let config = tuned(config);
    let variable = |name: &str| env::var(name).ok();
    let proxy = choose(&config.cluster_url, proxy_url.as_deref(), variable)?;
    if let Some(proxy) = &proxy {
        tracing::info!("the API server is reached through the proxy {proxy}");
    }
    let clock_skew = ClockSkew::default();
    let client = |config: Config| {
        let client = match &proxy {
            Some(proxy) => client_through(proxy, config, &clock_skew),
            None => measuring_client(config, &clock_skew),
        };
        client.map_err(|error| ConnectError::Kubeconfig(describe_error(&error)))
    };
    let (main, watches, lease) = (client(config.clone())?, client(config.clone())?, client(config)?);
    Ok(Clients { main, watches, lease, clock_skew })
}

/// The configuration without a proxy, and the `proxy-url` of the kubeconfig.
async fn configured() -> Result<(Config, Option<String>), ConnectError> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let (named, in_pod) = (is_set("KUBECONFIG"), is_set("KUBERNETES_SERVICE_HOST"));
    match from_kubeconfig().await {
        Ok(found) => Ok(found),
        Err(KubeconfigError::FindPath | KubeconfigError::ReadConfig(..)) if !named && in_pod => {
            Config::incluster()
                .map(|config| (config, None))
                .map_err(|error| ConnectError::ServiceAccount(one_line(&error.to_string(), 300)))
        }
        Err(KubeconfigError::FindPath) => Err(ConnectError::NoCluster),
        Err(KubeconfigError::ReadConfig(error, _)) if !named && error.kind() == io::ErrorKind::NotFound => {
            Err(ConnectError::NoCluster)
        }
        Err(error) => Err(ConnectError::Kubeconfig(describe_kubeconfig_error(&error))),
    }
}

/// As [`Config::from_kubeconfig`], but for the proxy: kube would take the one of the environment by rules of its own.
async fn from_kubeconfig() -> Result<(Config, Option<String>), KubeconfigError> {
    let mut kubeconfig = Kubeconfig::read()?;
    let context = kubeconfig.current_context.clone().unwrap_or_default();
    let context = kubeconfig.contexts.iter().find(|one| one.name == context);
    let name =
        context.and_then(|one| one.context.as_ref()).map(|one| one.cluster.clone()).unwrap_or_default();
    let cluster = kubeconfig.clusters.iter_mut().find(|one| one.name == name);
    let proxy_url = cluster.and_then(|one| one.cluster.as_mut()).and_then(|cluster| {
        // As long as the kubeconfig names a proxy, kube does not look at the environment.
        cluster.proxy_url.replace("http://chosen-later.invalid".to_owned())
    });
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    if let Some(cluster) = config.auth_info.exec.as_mut().and_then(|plugin| plugin.cluster.as_mut()) {
        cluster.proxy_url.clone_from(&proxy_url);
    }
    Ok((config, proxy_url))
}

fn tuned(mut config: Config) -> Config {
    // kube's retry policy would repeat even a PATCH, and would wait for as long as a `Retry-After` header says.
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

/// A parser's message can quote the file, including a private key, so only the line number is reported.
fn describe_kubeconfig_error(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("it is not a valid kubeconfig, see line {}", place.line()),
            None => "it is not a valid kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(error, path) => format!("cannot read {}: {error}", path.display()),
        KubeconfigError::CurrentContextNotSet => "it has no current-context".to_owned(),
        other => one_line(&other.to_string(), 300),
    }
}

/// Describes a failed call to the API server in one line.
///
/// Leaves out texts that can quote a response body (it may be a Secret) or the output of a credential plug-in.
#[must_use]
pub(crate) fn describe_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(_) if is_unauthorized(error) => {
            "the API server rejected the token or certificate (401): it is invalid or has expired; issue a new one"
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
            "the API server's answer cannot be decoded".to_owned()
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => {
            if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<AuthError>()) {
                return credentials(error);
            }
            let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
            format!("the API server cannot be reached: {}", one_line(&cause, 300))
        }
        other => one_line(&other.source().map_or_else(|| other.to_string(), ToString::to_string), 300),
    }
}

/// Why an operation that is retried did not succeed.
#[derive(Clone, Debug)]
pub(crate) struct Obstacle {
    /// The description, one line.
    pub line: String,
    /// An RBAC permission or an object is missing, so a retry succeeds only if somebody adds it.
    pub is_final: bool,
}

impl Obstacle {
    /// From a failed call to the API server, which `line` describes.
    #[must_use]
    pub(crate) fn new(error: &kube::Error, line: String) -> Self {
        let is_final =
            matches!(error, kube::Error::Api(status) if status.is_forbidden() || status.is_not_found());
        Self { line, is_final }
    }
}

/// Whether the API server rejected the credentials (401).
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

    /// Such text can contain credentials.
    #[test]
    fn no_text_of_a_broken_kubeconfig_or_answer_is_repeated() {
        let yaml = "apiVersion: v1\nusers: [{name: me, user: {token: s3cret, token: s3cret}]\nclusters: 7\n";
        let error = kube::config::Kubeconfig::from_yaml(yaml).unwrap_err();
        let message = ConnectError::Kubeconfig(describe_kubeconfig_error(&error)).to_string();
        assert!(
            !message.contains("s3cret") && message.lines().count() == 1 && message.contains("line "),
            "{message}"
        );

        let error = serde_json::from_str::<u8>("\"s3cret\"").unwrap_err();
        assert!(!describe_error(&kube::Error::SerdeError(error)).contains("s3cret"));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_said_with_its_cause() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = tuned(Config::new(format!("http://{closed}").parse().unwrap()));
        assert!(!config.default_retry && !config.accept_invalid_certs);
        let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
        let message = describe_error(&error);
        assert!(
            message.starts_with("the API server cannot be reached: ") && message.contains("refused"),
            "{message}"
        );
    }
}
