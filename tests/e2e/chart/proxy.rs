//! The proxy to the vendor: its URL, its password, and its port in the network policy.

use serde_json::{Value, json};
use testbed::Helm;

use crate::chart::{CHART, NAMED, job, objects, rendered, the};

const URL: &str = "proxy.url=http://proxy.example.com:3128";

fn container(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

#[tokio::test]
async fn the_url_is_a_flag_and_the_secret_a_variable_of_all_pods() {
    let flag = "--https-proxy=http://proxy.example.com:3128";
    for helm in Helm::BOTH {
        let none = rendered(helm, &[]).await;
        assert!(!none.contains("https-proxy") && !none.contains("HTTPS_PROXY"), "{helm:?}");

        let open = objects(helm, &["--set", URL]).await;
        let closed =
            objects(helm, &["--set", URL, "--set=proxy.existingSecret=proxy,extraEnv[0].name=TZ"]).await;
        for which in ["operator", "check", "drain"] {
            let of = |objects: &[Value]| match which {
                "operator" => container(the("Deployment", objects)).clone(),
                job_name => container(job(job_name, objects)).clone(),
            };
            let args = |container: &Value| container["args"].to_string();
            assert!(args(&of(&open)).contains(flag) && of(&open)["env"].is_null(), "{helm:?} {which}");
            assert!(!args(&of(&closed)).contains("proxy.example.com"), "a flag would win over the variable");
            let variable = json!({
                "name": "GROUPATTR_HTTPS_PROXY",
                "valueFrom": { "secretKeyRef": { "name": "proxy", "key": "url" } },
            });
            assert_eq!(of(&closed)["env"], json!([variable, { "name": "TZ" }]), "{helm:?} {which}");
        }
    }
}

#[tokio::test]
async fn the_network_policy_opens_the_port_of_the_proxy() {
    let ports = async |values: &str| {
        let objects = objects(Helm::V4, &["--set=networkPolicy.enabled=true", "--set", values]).await;
        let egress = &the("NetworkPolicy", &objects)["spec"]["egress"][1]["ports"];
        egress.as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ports("replicas=1").await, [443, 6443]);
    assert_eq!(ports(URL).await, [443, 6443, 3128]);
    assert_eq!(ports("proxy.url=http://proxy.example.com:8080/").await, [443, 6443, 8080]);
    assert_eq!(ports("proxy.url=http://proxy.example.com").await, [443, 6443, 80]);
    assert_eq!(ports("proxy.url=http://[2001:db8::1]").await, [443, 6443, 80]);
    assert_eq!(ports("proxy.url=https://proxy.example.com").await, [443, 6443]);
}

#[tokio::test]
async fn what_is_no_proxy_and_a_password_among_the_values_are_refused() {
    for (values, text) in [
        ("proxy.url=http://ann:s3cret@proxy.example.com:3128", "/proxy/url"),
        ("proxy.url=proxy.example.com:3128", "/proxy/url"),
        ("proxy.url=socks5://proxy.example.com:1080", "/proxy/url"),
        ("proxy.url=http://proxy.example.com:70000", "/proxy/url"),
        ("proxy.url=http://proxy.example.com/path", "/proxy/url"),
        ("proxy.existingSecret=Proxy", "/proxy/existingSecret"),
        ("proxy.existingSecret=proxy", "proxy.existingSecret is set and proxy.url is not"),
        ("proxy.password=s3cret", "/proxy"),
    ] {
        for helm in Helm::BOTH {
            let said =
                helm.offline(&["template", "x", CHART, NAMED, "--set", values]).await.unwrap().unwrap_err();
            assert!(said.contains(text), "{helm:?} {values}: {said}");
        }
    }
}
