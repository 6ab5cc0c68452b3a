//! A client whose calls to the API server go through a proxy, by CONNECT.

use std::error::Error;

use http::{HeaderValue, Uri};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use tower::{BoxError, ServiceBuilder};

use super::causes;
use super::clock_skew::{ClockSkew, measuring_layer};
use super::proxy_choice::ApiProxy;
use crate::proxy::TUNNEL_UNAUTHORIZED;
use crate::text::one_line;

/// Why a call did not get through a proxy. Has no source, so that this is what is reported.
#[derive(Debug, thiserror::Error)]
#[error("{cause}, through the proxy {proxy}")]
struct ProxiedError {
    cause: String,
    proxy: ApiProxy,
}

/// The same client as `Client::try_from(config)` makes, with a tunnel below its TLS.
///
/// kube could make one by itself, but it compares `NO_PROXY` with the host of the proxy, and refuses a list with an
/// empty element.
pub(super) fn client_through(
    proxy: &ApiProxy,
    config: Config,
    skew: &ClockSkew,
) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let address: Uri = proxy.url.to_string().parse().map_err(http_error)?;
    let mut tunnel = Tunnel::new(address, http);
    if let Some(header) = proxy.url.basic_auth() {
        tunnel = tunnel.with_auth(HeaderValue::from_str(header.expose_secret()).map_err(http_error)?);
    }
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tunnel)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let proxy = proxy.clone();
    let service = ServiceBuilder::new()
        .layer(measuring_layer(skew))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(move |error: hyper_util::client::legacy::Error| -> BoxError {
            ProxiedError { cause: cause(&error), proxy: proxy.clone() }.into()
        })
        .service(HttpClient::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace))
}

fn http_error(error: impl Into<http::Error>) -> kube::Error {
    kube::Error::HttpError(error.into())
}

fn cause(error: &(dyn Error + 'static)) -> String {
    let root = causes(error).last();
    match root.map(ToString::to_string).unwrap_or_default().as_str() {
        TUNNEL_UNAUTHORIZED => "the user and password are not accepted (407)".to_owned(),
        "tunnel error: unsuccessful" => "CONNECT was refused".to_owned(),
        other => one_line(other, 200),
    }
}
