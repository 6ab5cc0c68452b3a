//! Endpoints: only those that the operator allows, and over TLS only those with a valid certificate.

use testbed::Vendor;

use super::{app_has, assert_says, reset_says};
use crate::world::{APP_ID, DEADLINE, KEY, World, chat_app, message_of};

#[tokio::test]
async fn the_operator_never_connects_to_an_endpoint_it_does_not_allow() {
    let world = World::new().await;
    let stranger = Vendor::start().unwrap();
    stranger.account(APP_ID, KEY, &["administrator"]);
    stranger.room(APP_ID, "@TGS#a", &[("seat1", "ann")]);
    world.room("@TGS#a");
    world.room("@TGS#marker");
    let _operator = world.operator(&["--allow-endpoint=chat.example.com"]).await;
    world.secret("chat", KEY).await;
    world.apply(&chat_app("stranger", APP_ID, &stranger.url(), "")).await;
    world.reset("a", "@TGS#a", "  appRef: { name: stranger }").await;
    world.apply(&chat_app("plain", APP_ID, "http://chat.example.com", "")).await;

    let app = app_has(&world, "stranger", "EndpointNotAllowed").await;
    assert_says(&app, &["--allow-endpoint", &stranger.address().to_string()]);
    let app = app_has(&world, "plain", "EndpointNotAllowed").await;
    assert_says(&app, &["loopback", "https://"]);
    reset_says(&world, "a", "AppNotReady", "EndpointNotAllowed").await;

    // Once this one is done, anything else would have happened by now.
    world.app("").await;
    world.reset("marker", "@TGS#marker", "").await;
    world.reset_is("marker", "Cleared").await;
    assert_eq!(stranger.connections(), 0);

    world.patch("chatapp", "stranger", &format!(r#"{{"endpoint":"{}"}}"#, world.vendor.url())).await;
    app_has(&world, "stranger", "Verified").await;
    world.reset_is("a", "Cleared").await;
    assert_eq!(stranger.connections(), 0);
}

#[tokio::test]
async fn tls_requires_a_trusted_certificate_for_the_right_host() {
    let world = World::new().await;
    let trusted = Vendor::start_tls().unwrap();
    let unknown = Vendor::start_tls().unwrap();
    let misnamed = Vendor::start_tls_as(&["chat.example.com"]).unwrap();
    let nameless = Vendor::start_tls_as(&[]).unwrap();
    let authority = Vendor::start_tls_as_authority().unwrap();
    let vendors = [
        ("trusted", &trusted),
        ("unknown", &unknown),
        ("misnamed", &misnamed),
        ("nameless", &nameless),
        ("authority", &authority),
    ];
    for (_, vendor) in vendors {
        vendor.account(APP_ID, KEY, &["administrator"]);
        vendor.room(APP_ID, "@TGS#a", &[("seat1", "ann")]);
    }
    // Except for `unknown` the CAs are trusted: something else is wrong with each certificate.
    let trust = [&trusted, &misnamed, &nameless, &authority]
        .map(|vendor| std::fs::read_to_string(vendor.ca_pem().unwrap()).unwrap());
    let folder =
        std::env::temp_dir().join(format!("groupattr-trust-{}-{}", std::process::id(), world.namespace));
    std::fs::write(&folder, trust.concat()).unwrap();
    let allowed = vendors.map(|(_, vendor)| format!("--allow-endpoint={}", vendor.address()));
    let mut launch = world.launch(&allowed.each_ref().map(String::as_str));
    launch.env.push(("SSL_CERT_FILE".to_owned(), folder.display().to_string()));
    let operator = world.start(launch);
    operator.ready(DEADLINE).await;
    std::fs::remove_file(&folder).unwrap();

    world.secret("chat", KEY).await;
    for (name, vendor) in vendors {
        world.apply(&chat_app(name, APP_ID, &vendor.url(), "")).await;
        world.reset(name, "@TGS#a", &format!("  appRef: {{ name: {name} }}")).await;
    }
    world.reset_is("trusted", "Cleared").await;
    for (name, vendor, cause) in [
        ("unknown", &unknown, "issuer"),
        ("misnamed", &misnamed, "for another name"),
        ("nameless", &nameless, "SAN"),
        ("authority", &authority, "CA certificate"),
    ] {
        let app = app_has(&world, name, "Unreachable").await;
        let message = message_of(&app, "Ready");
        for text in ["TLS", "certificate", cause] {
            assert!(message.contains(text), "{name}: {message}");
        }
        reset_says(&world, name, "AppNotReady", "Unreachable").await;
        assert!(vendor.connections() > 0 && vendor.journal().is_empty(), "{name} must not receive a request");
    }
}
