use proptest::prelude::*;

use super::*;

fn parsed(url: &str) -> Endpoint {
    Endpoint::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refused(url: &str) -> InvalidEndpoint {
    Endpoint::parse(url).expect_err(url)
}

#[test]
fn every_spelling_of_one_place_is_equal() {
    let plain = parsed("https://chat.example.com");
    for spelling in [
        "https://chat.example.com/",
        "https://chat.example.com:443",
        "HTTPS://Chat.Example.COM:443/",
        "https://chat.example.com.",
        "https://ch%61t.example.com",
        "https://chat.example.com:00443",
    ] {
        assert_eq!(parsed(spelling), plain, "{spelling}");
    }
    assert_ne!(parsed("https://chat.example.com:8443"), plain);
    assert_eq!(parsed("https://console.tim.qq.com"), Endpoint::of_region(Region::China));
    assert_eq!(parsed("http://0x7f.1:80").to_string(), "http://127.0.0.1");
    assert_eq!(parsed("http://[0:0:0:0:0:0:0:1]:9000").authority(), "[::1]:9000");
}

#[test]
fn an_endpoint_prints_as_its_url_and_says_its_parts() {
    let endpoint = parsed("https://Chat.Example.com:8443/");
    assert_eq!(endpoint.to_string(), "https://chat.example.com:8443");
    assert_eq!(endpoint.authority(), "chat.example.com:8443");
    assert_eq!((endpoint.host(), endpoint.port()), ("chat.example.com", 8443));
    assert_eq!(Endpoint::of_region(Region::Singapore).to_string(), "https://adminapisgp.im.qcloud.com");
    assert_eq!(Endpoint::of_region(Region::Singapore).authority(), "adminapisgp.im.qcloud.com:443");
}

#[test]
fn http_is_for_loopback_hosts_only() {
    for url in ["http://localhost:1", "http://LOCALHOST.:1", "http://127.9.9.9:1", "http://[::1]:1"] {
        parsed(url);
    }
    for url in ["http://chat.example.com", "http://10.0.0.1", "http://0.0.0.0", "http://[::ffff:127.0.0.1]"] {
        assert_eq!(refused(url), InvalidEndpoint::Insecure, "{url}");
    }
    assert_eq!(refused("http://localhost.example.com"), InvalidEndpoint::Insecure);
}

#[test]
fn what_is_not_a_bare_url_is_refused_with_the_reason() {
    for (url, error) in [
        ("", InvalidEndpoint::Host),
        ("chat.example.com", InvalidEndpoint::Scheme),
        ("ftp://chat.example.com", InvalidEndpoint::Scheme),
        ("https://", InvalidEndpoint::Host),
        ("https:///chat.example.com", InvalidEndpoint::Path),
        ("https://chat.example.com//", InvalidEndpoint::Path),
        ("https://chat.example.com/v4", InvalidEndpoint::Path),
        ("https://chat.example.com/.", InvalidEndpoint::Path),
        ("https://chat.example.com?x", InvalidEndpoint::Path),
        ("https://chat.example.com#x", InvalidEndpoint::Path),
        ("https://me:pw@chat.example.com", InvalidEndpoint::User),
        ("https://@chat.example.com", InvalidEndpoint::User),
        ("https://chat.example.com:", InvalidEndpoint::Port),
        ("https://chat.example.com:0", InvalidEndpoint::Port),
        ("https://chat.example.com:65536", InvalidEndpoint::Port),
        ("https://chat.example.com:+1", InvalidEndpoint::Port),
        ("https://::1", InvalidEndpoint::Host),
        ("https://[::1", InvalidEndpoint::Host),
        ("https://[::1]x", InvalidEndpoint::Host),
        ("https://*.example.com", InvalidEndpoint::Host),
        ("https://chat..example.com", InvalidEndpoint::Host),
        ("https://chat.example.com..", InvalidEndpoint::Host),
        ("https://1.2.3.4.5", InvalidEndpoint::Host),
        ("https://chat.example.com\\@evil.example", InvalidEndpoint::Characters),
        (" https://chat.example.com", InvalidEndpoint::Characters),
        ("https://chat.exa\tmple.com", InvalidEndpoint::Characters),
        ("https://chät.example.com", InvalidEndpoint::Characters),
    ] {
        assert_eq!(refused(url), error, "{url}");
    }
}

#[test]
fn an_allowed_host_admits_one_port_and_nothing_else() {
    let allowed =
        |flag: &str| flag.parse::<AllowedEndpoint>().unwrap_or_else(|error| panic!("{flag}: {error}"));
    let plain = allowed("Chat.Example.com");
    assert!(plain.admits(&parsed("https://chat.example.com")));
    assert!(!plain.admits(&parsed("https://chat.example.com:8443")), "without a port it is 443");
    assert!(plain.admits(&parsed("https://chat.example.com:443")));
    assert!(!plain.admits(&parsed("https://chat.example.com.evil.example")));
    assert!(!plain.admits(&parsed("https://example.com")));
    let one = allowed("chat.example.com:443");
    assert!(one.admits(&parsed("https://chat.example.com")));
    assert!(!one.admits(&parsed("https://chat.example.com:8443")));
    let local = allowed("127.0.0.1:8080");
    assert!(local.admits(&parsed("http://127.0.0.1:8080")));
    assert!(local.admits(&parsed("https://127.0.0.1:8080")));
    assert!(!allowed("https://127.0.0.1").admits(&parsed("http://127.0.0.1:8080")));
    assert!(allowed("http://127.0.0.1:8080").admits(&parsed("http://127.0.0.1:8080")));
    assert!(allowed("https://chat.example.com/").admits(&parsed("https://chat.example.com")));
    assert!(allowed("[::1]").admits(&parsed("https://[::1]")));
    assert!(!allowed("[::1]").admits(&parsed("http://[::1]")), "443, whatever the scheme");
    assert!(!allowed("[::1]").admits(&parsed("http://[::1]:9000")));
    assert!(allowed("http://localhost").admits(&parsed("http://localhost")), "80, the scheme's default");
    assert!(!allowed("http://localhost").admits(&parsed("http://localhost:443")));
    assert!(!allowed("https://localhost").admits(&parsed("http://localhost")));
    assert!(allowed("[::1]:9000").admits(&parsed("http://[::1]:9000")));
}

#[test]
fn a_flag_that_cannot_be_meant_is_refused_in_one_line() {
    for flag in [
        "",
        "*",
        "*.example.com",
        "::1",
        "chat.example.com:http",
        "http://chat.example.com",
        "a/b",
        "a b",
        "u@a",
    ] {
        let error = flag.parse::<AllowedEndpoint>().expect_err(flag).to_string();
        assert!(!error.contains('\n') && error.len() < 120, "{flag}: {error}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_what_it_accepts_prints_back_to_itself(text in "(https?://)?[!-~é ]{0,40}") {
        if let Ok(endpoint) = Endpoint::parse(&text) {
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }
    }

    #[test]
    fn the_http_client_connects_to_the_host_that_was_checked(host in "[a-zA-Z0-9.%-]{1,24}") {
        if let Ok(endpoint) = Endpoint::parse(&format!("https://{host}")) {
            let url = url::Url::parse(&endpoint.to_string()).expect("a URL");
            prop_assert_eq!(url.host_str(), Some(endpoint.host()));
            prop_assert_eq!(url.port_or_known_default(), Some(endpoint.port()));
        }
    }
}
