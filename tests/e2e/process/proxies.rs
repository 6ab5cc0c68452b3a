//! Proxies on the way to the API server, as kubectl would use them; and what `check` says of the one to the vendor.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testbed::{ForwardProxy, Vendor};

use super::command_line::assert_fails;
use super::{Output, run};
use crate::world::{DEADLINE, PROXY_PASSWORD, World};

/// Every variable that some program takes a proxy from.
const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// A kubeconfig like this one that names a proxy.
fn with_proxy_url(kubeconfig: &Path, proxy_url: &str) -> String {
    let mut config: Value = serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
    config["clusters"][0]["cluster"]["proxy-url"] = json!(proxy_url);
    let path = kubeconfig.with_extension("proxied.kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path.display().to_string()
}

fn with_user(proxy: &ForwardProxy, password: &str) -> String {
    format!("http://ann:{}@{}", password.replace('*', "%2A"), proxy.address())
}

async fn check(world: &World, more: &[&str], variables: &[(&str, &str)]) -> Output {
    let namespace = &world.namespace;
    let (watched, own) = (format!("--watch-namespace={namespace}"), format!("--namespace={namespace}"));
    let args = [&["check", watched.as_str(), own.as_str()], more].concat();
    let output = run(&args, variables).await;
    assert!(!format!("{}{}", output.stdout, output.stderr).contains(PROXY_PASSWORD), "{}", output.stdout);
    output
}

#[tokio::test]
async fn with_proxies_in_the_environment_it_starts_and_reaches_a_loopback_api_server_directly() {
    let world = World::new().await;
    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    let url = with_user(&proxy, PROXY_PASSWORD);
    let mut launch = world.launch(&[]);
    let kubeconfig = launch.kubeconfig.display().to_string();
    let mut variables = VARIABLES.map(|name| (name, url.as_str())).to_vec();
    // kube refuses a list with an empty element.
    variables.push(("NO_PROXY", "example.com,"));
    launch.env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let operator = world.start(launch);
    operator.ready(DEADLINE).await;

    variables.push(("KUBECONFIG", &kubeconfig));
    let checked = check(&world, &[], &variables).await;
    assert_eq!(checked.code, Some(0), "{} {}", checked.stdout, checked.stderr);
    assert_eq!(proxy.asked(), []);
}

#[tokio::test]
async fn the_proxy_of_the_kubeconfig_carries_everything_to_the_api_server() {
    let world = World::new().await;
    world.room("@TGS#a");
    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    let mut launch = world.launch(&[]);
    launch.kubeconfig = with_proxy_url(&launch.kubeconfig, &with_user(&proxy, PROXY_PASSWORD)).into();
    launch.env.push(("NO_PROXY".to_owned(), "*".to_owned()));
    let operator = world.start(launch);
    operator.ready(DEADLINE).await;
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    world.reset_is("a", "Cleared").await;
    operator.wait_for_log(&format!("through the proxy {}", proxy.url()), DEADLINE).await;
    let server = world.plane.url().trim_start_matches("https://").to_owned();
    let asked = proxy.asked();
    assert!(!asked.is_empty());
    for one in asked {
        assert_eq!((one.method.as_str(), &one.target, one.answer), ("CONNECT", &server, 200));
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_or_refuses_is_named_with_what_to_do() {
    let world = World::new().await;
    let kubeconfig = world.launch(&[]).kubeconfig;
    let socks = with_proxy_url(&kubeconfig, &format!("socks5://ann:{PROXY_PASSWORD}@127.0.0.1:1"));
    let listen = ("GROUPATTR_LISTEN", "127.0.0.1:0");
    let output = run(&["run"], &[("KUBECONFIG", &socks), listen]).await;
    assert_fails("socks", &output, 1, &["proxy-url in the kubeconfig", "http://", "correct or remove it"]);
    assert!(!output.stderr.contains(PROXY_PASSWORD), "{}", output.stderr);

    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    let wrong = with_proxy_url(&kubeconfig, &with_user(&proxy, "wrong"));
    let checked = check(&world, &[], &[("KUBECONFIG", &wrong)]).await;
    assert_eq!(checked.code, Some(1));
    for text in ["not accepted (407)", &proxy.url(), "proxy-url in the kubeconfig", "correct or remove it"] {
        assert!(checked.stdout.contains(text), "{text:?} is missing in {}", checked.stdout);
    }
    assert!(!checked.stdout.contains("wrong@"), "{}", checked.stdout);
}

#[tokio::test]
async fn a_check_asks_the_proxy_for_the_vendor() {
    let world = World::new().await;
    let vendor = Vendor::start_tls().unwrap();
    let ca = vendor.ca_pem().unwrap().display().to_string();
    let kubeconfig = world.launch(&[]).kubeconfig.display().to_string();
    let allowed = format!("--allow-endpoint={}", vendor.address());
    let proxy = ForwardProxy::start_for("ann", PROXY_PASSWORD).unwrap();
    for (password, is_good, text) in [(PROXY_PASSWORD, true, "answers through"), ("wrong", false, "407")] {
        let url = with_user(&proxy, password);
        let variables =
            [("KUBECONFIG", kubeconfig.as_str()), ("SSL_CERT_FILE", &ca), ("GROUPATTR_HTTPS_PROXY", &url)];
        let checked = check(&world, &[&allowed], &variables).await;
        assert_eq!(checked.code, Some(i32::from(!is_good)), "{}", checked.stdout);
        let line = checked.stdout.lines().find(|line| line.contains(&proxy.url())).unwrap_or_default();
        assert!(line.contains(text) && line.contains(&vendor.address().to_string()), "{}", checked.stdout);
        assert!(line.starts_with(if is_good { "ok" } else { "missing" }), "{line}");
    }
    assert!(vendor.journal().iter().all(|call| call.raw_query.is_empty() && call.body.is_empty()));
}
