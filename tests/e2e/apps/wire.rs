//! Calls on the wire: what each contains, and what many of them cost.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::Value;
use testbed::until_ok;
use testbed::vendor::{Command, UserSig};

use crate::world::replicas::NO_ELECTION;
use crate::world::{APP_ID, DEADLINE, KEY, World, numbered};

#[tokio::test]
async fn a_call_carries_a_signed_url_with_exactly_the_documented_parameters() {
    const CALLER: &str = "room_admin&co=1+1/%41";
    let world = World::new().await;
    world.vendor.account(APP_ID, KEY, &[CALLER]);
    for group in ["room a b\"c\\", "@TGS#b"] {
        world.room(group);
    }
    let _operator = world.operator(&[]).await;
    world.app(&format!("  identifier: {CALLER:?}")).await;
    world.reset("a", "room a b\"c\\", "").await;
    world.reset("b", "@TGS#b", "").await;
    world.reset_is("a", "Cleared").await;
    world.reset_is("b", "Cleared").await;

    let mut randoms = Vec::new();
    for call in world.vendor.journal() {
        let names: Vec<_> = call.raw_query.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
        assert_eq!(
            names,
            ["sdkappid", "identifier", "usersig", "random", "contenttype"],
            "{}",
            call.raw_query
        );
        assert!(
            call.raw_query.contains("&identifier=room_admin%26co%3D1%2B1%2F%2541&"),
            "{}",
            call.raw_query
        );
        assert_eq!(call.parameter("identifier"), Some(CALLER));
        assert_eq!(call.parameter("sdkappid"), Some(APP_ID.to_string().as_str()));
        assert_eq!(call.parameter("contenttype"), Some("json"));
        randoms.push(call.parameter("random").unwrap().parse::<u32>().unwrap());
        let raw_sig = call.raw_query.split('&').find_map(|pair| pair.strip_prefix("usersig=")).unwrap();
        assert_eq!(call.parameter("usersig"), Some(raw_sig), "a UserSig must not need percent-encoding");
        let sig = UserSig::decode(raw_sig).unwrap();
        assert!(sig.is_signed_with(KEY) && sig.identifier == CALLER && sig.sdkappid == APP_ID);
        assert!(sig.expire >= 24 * 3600, "signed for {} s", sig.expire);

        let headers = |name: &str| -> Vec<&str> {
            let found = call.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(headers("content-type"), ["application/json"]);
        assert_eq!(headers("host"), [world.vendor.address().to_string()]);
        assert_eq!(headers("accept-encoding"), ["identity"]);
        for unwanted in ["referer", "authorization", "cookie", "expect"] {
            assert!(headers(unwanted).is_empty(), "{unwanted}: {:?}", headers(unwanted));
        }
        let path = match call.command {
            Command::Get => "/v4/group_open_attr_http_svc/get_group_attr",
            _ => "/v4/group_open_http_svc/clear_group_attr",
        };
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", path));
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "GroupId": call.group }),
            "the body must contain only the group"
        );
    }
    let distinct: std::collections::HashSet<_> = randoms.iter().collect();
    assert!(
        randoms.len() >= 3 && distinct.len() == randoms.len(),
        "each call must have its own random: {randoms:?}"
    );
}

#[tokio::test]
async fn many_calls_share_few_connections_and_one_secret_read() {
    const RESETS: usize = 60;
    const RATE: u64 = 20;
    let world = World::new().await;
    let rooms = numbered("many", RESETS);
    world.rooms(&rooms);
    let _operator = world.operator(&NO_ELECTION).await;
    let started = Instant::now();
    world.app(&format!("  limits: {{ callsPerSecond: {RATE} }}")).await;
    world.many_resets(rooms).await;
    world.until_cleared(RESETS, DEADLINE).await;
    let connections = world.vendor.connections();
    assert!(
        connections <= RESETS as u64 / 2,
        "{connections} connections for {RESETS} calls, of which about {RATE} are in flight at once"
    );

    world.plane.audit_marker().await.unwrap();
    let audit = world.plane.audit_of(&world.account.user()).unwrap();
    let reads: Vec<_> = audit.iter().filter(|event| event.resource == "secrets").collect();
    let minutes = started.elapsed().as_secs() / 60 + 1;
    assert!(!reads.is_empty() && reads.len() as u64 <= minutes, "{} reads of the Secret", reads.len());
    assert!(reads.iter().all(|event| event.verb == "get" && event.name == "chat"), "{reads:?}");
}

/// A proxy would see the signature.
#[tokio::test]
async fn proxy_environment_variables_are_ignored_for_the_vendor() {
    let world = World::new().await;
    world.room("@TGS#a");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut launch = world.launch(&[]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        launch.env.push((name.to_owned(), address.clone()));
    }
    let _operator = world.start(launch);
    world.app("").await;
    world.reset("a", "@TGS#a", "").await;
    until_ok(DEADLINE, "the clear to reach the vendor directly", || async {
        match proxy.accept() {
            Ok(_) => panic!("the proxy was used"),
            Err(none) if world.reason("a").await != "Cleared" => Err(none.kind()),
            Err(_) => Ok(()),
        }
    })
    .await;
}
