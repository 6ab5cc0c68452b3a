//! Calls through the proxy of `--https-proxy`.

use super::*;

const PASSWORD: &str = "canary-of-the-proxy";

fn through(proxy: &str) -> ChatClient {
    let https_proxy = Some(proxy.parse().unwrap());
    ChatClient::new(&Settings { https_proxy, ..settings("groupattr-operator/test") }).unwrap()
}

fn over_tls() -> Endpoint {
    Endpoint::parse("https://chat.example.com").unwrap()
}

/// Makes one clear through a proxy that answers CONNECT by this, and returns the lines that it was sent.
async fn connect_answered(answer: &'static str) -> (Answer, Vec<String>) {
    let (proxy, server) = serve(move |listener| {
        let mut stream = accept(&listener);
        let lines = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let lines: Vec<String> = lines.collect();
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        lines
    });
    let client = through(&format!("http://ann:{PASSWORD}@{}", proxy.authority()));
    let answer = clear(&client, &over_tls(), SOON).await;
    (answer, server.join().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_that_refuses_to_connect_is_named_and_nothing_was_sent() {
    for (answer, expected) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", NetworkError::ProxyCredentials),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", NetworkError::ProxyRefused),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", NetworkError::ProxyRefused),
        ("HTTP/1.1 302 Found\r\nLocation: https://example.com\r\n\r\n", NetworkError::ProxyRefused),
        ("SSH-2.0-OpenSSH\r\n", NetworkError::ProxyRefused),
        ("", NetworkError::ProxyRefused),
        // The tunnel is there, and behind it is nobody who speaks TLS.
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n", NetworkError::ProxyTls),
    ] {
        let (ended, asked) = connect_answered(answer).await;
        assert_eq!(ended, Answer::NotSent(expected), "{answer}");
        assert!(expected.to_string().contains("--https-proxy"), "{expected}");
        assert!(expected.is_of_proxy());
        assert_eq!(asked[0], "CONNECT chat.example.com:443 HTTP/1.1", "{asked:?}");
        assert!(
            asked.iter().any(|line| line.to_lowercase().starts_with("proxy-authorization: basic ")),
            "{asked:?}"
        );
        assert!(!asked.concat().contains("usersig"), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_that_is_not_there_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for proxy in
        [format!("http://{closed}"), format!("https://{closed}"), "http://proxy.invalid:3128".to_owned()]
    {
        let client = through(&proxy);
        let ended = clear(&client, &over_tls(), SOON).await;
        assert_eq!(ended, Answer::NotSent(NetworkError::ProxyUnreachable), "{proxy}");
        assert_eq!(client.reach(&over_tls(), SOON).await, Err(NetworkError::ProxyUnreachable), "{proxy}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = through(&format!("http://{}", silent.local_addr().unwrap()));
    let ended = clear(&client, &over_tls(), SOON).await;
    assert_eq!(ended, Answer::NotSent(NetworkError::ProxyTimeout));
}

/// Without TLS a proxy would see the signature.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_test_endpoint_without_tls_is_called_directly() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = through(&format!("http://{}", proxy.local_addr().unwrap()));
    let (endpoint, server) = serve_one(|mut stream| respond(&mut stream, "200 OK", OK));
    assert!(matches!(clear(&client, &endpoint, SOON).await, Answer::Reply(_)));
    server.join().unwrap();
    assert!(no_connection_arrives(&proxy));
}
