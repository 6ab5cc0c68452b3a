//! Attack: make the operator send a signed URL to a host that it is not allowed to call.

use testbed::Vendor;
use testbed::vendor::{Misbehaviour, When};

use super::platform::Tenancy;
use super::tenant::Tenant;
use crate::world::{APP_ID, KEY, chat_app, message_of};

/// Spellings of the listener at 127.0.0.1:`port` and of other hosts inside a cluster, while only
/// 127.0.0.1:`allowed` is allowed. The first list is refused by the CRD schema, the second by the operator.
fn spellings(port: u16, allowed: u16) -> (Vec<String>, Vec<String>) {
    let refused_by_the_schema = vec![
        format!("http://127.0.0.1:{allowed}@127.0.0.1:{port}"),
        format!("http://administrator:password@127.0.0.1:{port}"),
        format!("http://127.0.0.1:{port}/v4"),
        format!("http://127.0.0.1:{port}/#:{allowed}"),
        format!("http://127.0.0.1:{port}#@127.0.0.1:{allowed}"),
        format!("http://127.0.0.1:{port}?@127.0.0.1:{allowed}"),
        format!("//127.0.0.1:{port}"),
        format!("HTTP://127.0.0.1:{port}/"),
        format!("127.0.0.1:{port}"),
        format!("ftp://127.0.0.1:{port}"),
        format!("file:///etc/passwd?{port}"),
        format!("http://127.0.0.1:{port}\n"),
        format!("http://127.0.0.1:{allowed} http://127.0.0.1:{port}"),
    ];
    let left_to_the_operator = vec![
        format!("http://127.0.0.1:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1.:{port}"),
        format!("http://localhost:{port}"),
        format!("http://LOCALHOST.:{port}"),
        format!("http://127.1:{port}"),
        format!("http://127.0.0.2:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.0.0.1:{port}"),
        format!("http://0177.0.0.1:{port}"),
        format!("http://%31%32%37.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://[::ffff:7f00:1]:{port}"),
        format!("http://[::1%25lo]:{port}"),
        format!("http://0.0.0.0:{port}"),
        format!("http://0:{port}"),
        format!("http://127.0.0.1:{allowed}:{port}"),
        format!("http://127.0.0.1:{allowed}.example.com"),
        format!("http://127.0.0.1.example.com:{allowed}"),
        format!("http://127.0.0.1:0{port}"),
        format!("http://127.0.0.1:+{port}"),
        format!("http://127.0.0.1:{}", u32::from(allowed) + 65_536),
        format!("http://127.0.0.1\\@127.0.0.1:{port}").replace('@', ""),
        "https://kubernetes.default.svc".to_owned(),
        "https://169.254.169.254".to_owned(),
        "https://console.tim.qq.com.example.com".to_owned(),
        "https://*".to_owned(),
        "https://".to_owned() + &"a.".repeat(140) + "example",
    ];
    (refused_by_the_schema, left_to_the_operator)
}

#[tokio::test]
async fn no_spelling_of_an_endpoint_reaches_a_host_that_is_not_allowed() {
    let tenancy = Tenancy::new("{ from: None }").await;
    let stranger = Vendor::start().unwrap();
    stranger.account(APP_ID, KEY, &["administrator"]);
    let tenant = Tenant::of(tenancy.tenant.plane, &tenancy.tenant.namespace).await;
    tenancy.tenant.secret("chat", KEY).await;
    let home = &tenancy.platform.home.vendor;
    let (schema, operator) = spellings(stranger.address().port(), home.address().port());

    let manifest = |name: &str, endpoint: &str| {
        chat_app(name, APP_ID, "ENDPOINT", "").replace("ENDPOINT", &format!("{endpoint:?}"))
    };
    for endpoint in &schema {
        let done = tenant.kubectl_with(&["create", "-f", "-"], &manifest("refused", endpoint)).await;
        assert!(
            !done.ok && done.stderr.contains("spec.endpoint"),
            "{endpoint:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
    let all: Vec<_> =
        operator.iter().enumerate().map(|(n, endpoint)| manifest(&format!("app-{n}"), endpoint)).collect();
    tenant.create(&all.join("\n---\n")).await;
    for (number, endpoint) in operator.iter().enumerate() {
        let name = format!("app-{number}");
        let app = tenancy.tenant.until_reason("chatapp", &name, "Ready", "EndpointNotAllowed").await;
        let said = message_of(&app, "Ready");
        assert!(!said.is_empty() && said.len() <= 512, "{endpoint}: {said:?}");
    }

    // The only other way is a redirect in the vendor's answer, which a probe must not follow.
    home.account(tenancy.account, KEY, &["administrator"]);
    let target = format!("{}/v4/group_open_attr_http_svc/get_group_attr", stranger.url());
    home.script(When::any().by(tenancy.account), Misbehaviour::Redirect(target));
    tenant.create(&chat_app("redirected", tenancy.account, &home.url(), "")).await;
    let app = tenancy.tenant.until_reason("chatapp", "redirected", "Ready", "Unreachable").await;
    assert!(message_of(&app, "Ready").contains("HTTP 30"), "{app:#}");
    assert!(tenancy.calls() > 0, "the redirect should have been served");
    assert_eq!(stranger.connections(), 0);
}
