//! The way to the vendor through the proxy of `--https-proxy`.

use std::fs;
use std::path::Path;

use testbed::forward_proxy::Asked;
use testbed::{ForwardProxy, Launch, Vendor};

use super::{app_has, assert_says, reset_says};
use crate::world::{APP_ID, DEADLINE, KEY, PROXY_PASSWORD, World};

const VARIABLE: &str = "GROUPATTR_HTTPS_PROXY";

/// A world whose vendor speaks TLS, as the real one does.
async fn tls_world() -> World {
    let mut world = World::new().await;
    world.vendor = Vendor::start_tls().unwrap();
    world.vendor.account(APP_ID, KEY, &["administrator"]);
    world.room("@TGS#a");
    world
}

/// An operator that has this in its variable, and trusts this authority.
fn launch_through(world: &World, proxy: &str, ca: &Path) -> Launch {
    let mut launch = world.launch(&[]);
    launch.env.push((VARIABLE.to_owned(), proxy.to_owned()));
    launch.env.push(("SSL_CERT_FILE".to_owned(), ca.display().to_string()));
    launch
}

fn vendors_ca(world: &World) -> &Path {
    world.vendor.ca_pem().unwrap()
}

/// The URL with this user and password, percent-encoded.
fn with_user(proxy: &ForwardProxy, password: &str) -> String {
    let password = password.replace('_', "%5F").replace('*', "%2A");
    proxy.url().replace("://", &format!("://ann:{password}@"))
}

fn assert_only_connects(proxy: &ForwardProxy, world: &World, credentials: Option<&str>) {
    let asked = proxy.asked();
    assert!(!asked.is_empty(), "the proxy was never asked");
    for one in asked {
        let expected = Asked {
            method: "CONNECT".to_owned(),
            target: world.vendor.address().to_string(),
            credentials: credentials.map(str::to_owned),
            answer: one.answer,
        };
        assert_eq!(one, expected);
    }
}

#[tokio::test]
async fn https_proxy_of_the_environment_is_ignored_for_the_vendor() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start().unwrap();
    let mut launch = world.launch(&[]);
    launch.env.push(("SSL_CERT_FILE".to_owned(), vendors_ca(&world).display().to_string()));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        launch.env.push((name.to_owned(), proxy.url()));
    }
    let _operator = world.start(launch);
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
}

#[tokio::test]
async fn the_vendor_is_called_through_the_proxy_and_only_by_connect() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start().unwrap();
    let mut launch = world.launch(&[]);
    launch.args.push(format!("--https-proxy={}", proxy.url()));
    launch.env.push(("SSL_CERT_FILE".to_owned(), vendors_ca(&world).display().to_string()));
    let operator = world.start(launch);
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert_only_connects(&proxy, &world, None);
    assert_eq!(proxy.asked().len() as u64, world.vendor.connections(), "no connection went past it");
    operator.wait_for_log(&proxy.url(), DEADLINE).await;
}

#[tokio::test]
async fn a_proxy_gets_its_password_and_nobody_else_does() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    let operator =
        world.start(launch_through(&world, &with_user(&proxy, PROXY_PASSWORD), vendors_ca(&world)));
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert_only_connects(&proxy, &world, Some(&format!("ann:{PROXY_PASSWORD}")));
    // That the password is nowhere to be found, the world checks; where the log names the proxy, it could be.
    operator.wait_for_log(&proxy.address(), DEADLINE).await;
}

#[tokio::test]
async fn the_way_to_the_proxy_can_be_tls_too() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start_tls_for("ann", PROXY_PASSWORD).unwrap();
    let both =
        [vendors_ca(&world), proxy.ca_pem().unwrap()].map(|ca| fs::read_to_string(ca).unwrap()).concat();
    let bundle = vendors_ca(&world).with_file_name("both.pem");
    fs::write(&bundle, both).unwrap();
    let url = with_user(&proxy, PROXY_PASSWORD);
    assert!(url.starts_with("https://"));
    let _operator = world.start(launch_through(&world, &url, &bundle));
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    assert_only_connects(&proxy, &world, Some(&format!("ann:{PROXY_PASSWORD}")));
}

#[tokio::test]
async fn a_wrong_password_is_named_as_the_cause_and_nothing_was_sent() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    let _operator = world.start(launch_through(&world, &with_user(&proxy, "wrong"), vendors_ca(&world)));
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    let app = app_has(&world, "default", "Unreachable").await;
    assert_says(&app, &["407", VARIABLE]);
    reset_says(&world, "a", "AppNotReady", "Unreachable").await;
    assert!(proxy.asked().iter().all(|one| one.answer == 407), "{:?}", proxy.asked());
    assert_eq!(world.vendor.connections(), 0);
}

#[tokio::test]
async fn a_clear_that_the_proxy_refuses_was_not_sent_and_is_sent_later() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start().unwrap();
    let _operator = world.start(launch_through(&world, &proxy.url(), vendors_ca(&world)));
    world.app("").await;
    world.app_is("Verified").await;
    // Ends the connection that is kept; from now on the proxy itself answers, 502.
    world.vendor.go_down();
    world.reset("a", "@TGS#a", "").await;
    reset_says(&world, "a", "RetryScheduled", "the proxy of --https-proxy refused").await;
    assert_eq!(proxy.asked().last().unwrap().answer, 502);
    world.vendor.come_back();
    world.reset_is("a", "Cleared").await;
    assert_eq!(world.calls("@TGS#a"), 1);
}

#[tokio::test]
async fn an_app_says_that_the_proxy_refuses_and_recovers() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start().unwrap();
    proxy.refuse(Some(403));
    let _operator = world.start(launch_through(&world, &proxy.url(), vendors_ca(&world)));
    world.app("").await;
    let app = app_has(&world, "default", "Unreachable").await;
    assert_says(&app, &["proxy of --https-proxy refused", "CONNECT"]);
    assert_eq!(world.vendor.connections(), 0);
    proxy.refuse(None);
    world.app_is("Verified").await;
}

#[tokio::test]
async fn a_proxy_that_opens_tls_is_refused_unless_its_authority_is_trusted() {
    let world = tls_world().await;
    let proxy = ForwardProxy::start_opening_tls(world.vendor.ca_pem().unwrap()).unwrap();
    let distrusting = world.start(launch_through(&world, &proxy.url(), vendors_ca(&world)));
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    let app = app_has(&world, "default", "Unreachable").await;
    assert_says(&app, &["TLS", "through the proxy of --https-proxy", "certificate is not trusted"]);
    assert!(proxy.opened() == 0 && world.vendor.journal().is_empty());
    distrusting.terminate();
    assert_eq!(distrusting.wait_exit(DEADLINE).await.code(), Some(0));

    let _trusting = world.start(launch_through(&world, &proxy.url(), proxy.ca_pem().unwrap()));
    world.reset_is("a", "Cleared").await;
    assert!(proxy.opened() > 0);
}
