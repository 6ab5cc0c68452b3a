mod server;

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

use self::server::*;
use super::*;

#[tokio::test]
async fn the_three_pages_are_served_until_shutdown() {
    let served = Served::with(PATIENT);
    assert!(served.get("/livez").await.starts_with("HTTP/1.1 200"));
    let answer = served.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("\r\n\r\nstarting\n"), "{answer}");
    served.health.not_ready("no CRD\nchatapps");
    assert!(served.get("/readyz").await.ends_with("\r\n\r\nno CRD chatapps\n"));
    served.health.ready();
    assert!(served.get("/readyz").await.starts_with("HTTP/1.1 200"));
    let answer = served.get("/metrics").await;
    assert!(answer.contains("text/plain; version=0.0.4") && !answer.contains("# EOF"), "{answer}");
    let ask = b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\nconnection: close\r\n\r\n";
    let answer = rest_of(&mut served.sent(ask).await).await;
    assert!(answer.contains("application/openmetrics-text; version=1.0.0") && answer.ends_with("# EOF\n"));

    // Shutdown also works with a connection open.
    let _open = served.sent(HALF).await;
    served.shutdown.cancel();
    served.serving.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn only_get_and_head_of_the_three_pages_are_answered_and_nothing_of_a_request_is_repeated() {
    let served = Served::with(PATIENT);
    for (method, path, status) in [
        ("GET", "/", "404"),
        ("GET", "/livez/", "404"),
        ("POST", "/forged-path", "404"),
        ("POST", "/livez", "405"),
        ("DELETE", "/metrics", "405"),
        ("OPTIONS", "/readyz", "405"),
        ("CONNECT", "/livez", "405"),
        ("FORGED", "/livez", "405"),
    ] {
        let answer = served.ask(method, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        assert!(!answer.to_lowercase().contains("forged"), "{answer}");
        assert_eq!(answer.contains("\r\nallow: GET, HEAD\r\n"), status == "405", "{answer}");
    }
    let head = served.ask("HEAD", "/livez").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("content-length: 3\r\n"), "{head}");
}

#[tokio::test]
async fn a_head_that_does_not_end_in_time_is_closed_however_it_trickles() {
    let served = Served::with(Limits { head: SHORT, ..PATIENT });
    let mut silent = served.connect().await;
    let mut trickling = served.sent(HALF).await;
    let trickle = async {
        while trickling.write_all(b"x").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    timeout(SOON, trickle).await.expect("the trickling connection is never closed");
    assert!(is_closed(&mut silent).await);
    served.closed("head_timeout", 2).await;
}

#[tokio::test]
async fn a_connection_may_ask_again_and_is_closed_when_it_is_idle() {
    let served = Served::with(Limits { idle: SHORT * 5, ..PATIENT });
    let mut stream = served.connect().await;
    for _ in 0..3 {
        stream.write_all(LIVEZ).await.unwrap();
        let answer = answer_of(&mut stream, "ok\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(rest_of(&mut stream).await, "");
    served.closed("idle_timeout", 1).await;
}

#[tokio::test]
async fn the_second_head_of_a_connection_has_no_more_time_than_the_first() {
    let served = Served::with(Limits { head: SHORT, ..PATIENT });
    let mut stream = served.sent(LIVEZ).await;
    answer_of(&mut stream, "ok\n").await;
    stream.write_all(HALF).await.unwrap();
    assert_eq!(rest_of(&mut stream).await, "");
    served.closed("head_timeout", 1).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_in_time_is_given_up() {
    let served = Served::with_text(Limits { response: SHORT, ..PATIENT }, &"x".repeat(LARGE));
    let mut slow = slow_reader(&served).await;
    served.closed("response_timeout", 1).await;
    assert!(rest_of(&mut slow).await.len() < LARGE);
}

#[tokio::test]
async fn a_body_that_trickles_in_is_not_waited_for() {
    let served = Served::with(PATIENT);
    for head in [
        "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n1",
        "GET /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n",
    ] {
        let mut stream = served.sent(head.as_bytes()).await;
        let answer = rest_of(&mut stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
    }
    served.closed("done", 2).await;
}

#[tokio::test]
async fn a_head_of_more_than_16_kib_is_refused() {
    let served = Served::with(PATIENT);
    for (length, status) in [(15_000, "200"), (400_000, "431")] {
        let request =
            format!("GET /livez HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(length));
        let mut stream = served.connect().await;
        // The server may reject a head that is too long before all of it is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest_of(&mut stream).await;
        assert!(
            answer.is_empty() && length > connections::HEAD
                || answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    served.closed("malformed", 1).await;
}

#[tokio::test]
async fn when_it_is_full_the_one_that_is_unfinished_longest_goes_and_a_probe_gets_in() {
    let served = Served::with(Limits { connections: 4, ..PATIENT });
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = served.sent(LIVEZ).await;
        answer_of(&mut stream, "ok\n").await;
        open.push(stream);
    }
    // This one has begun another request, so it is not the one that has been idle longest.
    open[0].write_all(HALF).await.unwrap();
    let mut trickling = served.sent(HALF).await;
    served.is_open(4).await;
    assert!(served.get("/livez").await.starts_with("HTTP/1.1 200"));
    served.closed("full", 1).await;
    assert_eq!(rest_of(&mut open[1]).await, "", "the connection that has been idle longest is closed");
    trickling.write_all(b"x\r\n\r\n").await.unwrap();
    assert!(
        answer_of(&mut trickling, "ok\n").await.starts_with("HTTP/1.1 200"),
        "the other connections stay open"
    );
    served.closed("full", 1).await;
}

#[tokio::test]
async fn who_is_being_answered_goes_last() {
    let text = "x".repeat(LARGE);
    let served = Served::with_text(Limits { connections: 2, ..PATIENT }, &text);
    let mut reading = slow_reader(&served).await;
    let mut half = served.sent(HALF).await;
    served.is_open(2).await;
    assert!(served.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut half).await);
    let answer = answer_of(&mut reading, "\ngroupattr_text_total 0\n").await;
    assert!(answer.len() > LARGE);

    // Unless a response is being sent on every connection.
    let _readers = [slow_reader(&served).await, slow_reader(&served).await];
    assert!(served.get("/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_answer_that_is_not_being_read_protects_its_connection_only_for_a_moment() {
    let limits = Limits { connections: 2, stall: Duration::ZERO, ..PATIENT };
    let served = Served::with_text(limits, &"x".repeat(LARGE));
    let mut stalled = slow_reader(&served).await;
    let mut half = served.sent(HALF).await;
    served.is_open(2).await;
    assert!(served.get("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(rest_of(&mut stalled).await.len() < LARGE);
    half.write_all(b"x\r\n\r\n").await.unwrap();
    assert!(answer_of(&mut half, "ok\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_metrics_are_encoded_once_for_all_who_ask_at_the_same_time() {
    let served = Served::with(PATIENT);
    let first = served.get("/metrics").await;
    served.metrics.event_dropped();
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&served.get("/metrics").await), body(&first));

    let served = Served::with(Limits { metrics: Duration::ZERO, ..PATIENT });
    let first = served.get("/metrics").await;
    served.metrics.event_dropped();
    assert_ne!(body(&served.get("/metrics").await), body(&first));
}

#[tokio::test]
async fn an_old_connection_is_closed_with_its_next_answer() {
    let served = Served::with(Limits { lifetime: Duration::ZERO, ..PATIENT });
    let mut stream = served.sent(LIVEZ).await;
    let answer = rest_of(&mut stream).await;
    assert!(answer.contains("connection: close") && answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn a_main_loop_silent_for_30_s_is_dead_until_it_beats() {
    let mut health = Health::new();
    health.started -= Duration::from_secs(100);
    assert!(!health.alive(Instant::now()));
    health.beat();
    assert!(health.alive(Instant::now()));
    assert!(!health.alive(Instant::now() + LIVENESS_TIMEOUT));
}

#[tokio::test]
async fn a_taken_port_is_said_with_what_to_do() {
    let taken = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let message = bind(taken.local_addr().unwrap()).unwrap_err().to_string();
    assert!(message.contains("another one with --listen") && message.lines().count() == 1, "{message}");
}
