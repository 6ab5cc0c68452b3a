//! How each possible response is classified.

use std::time::Instant;

use super::*;
use crate::chat::Class;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_that_ends_or_breaks_leaves_the_outcome_open() {
    assert_eq!(clear_against(drop).await, Answer::NoAnswer(NetworkError::Closed));
    assert_eq!(
        clear_against(|mut stream| stream.get_mut().write_all(b"HTTP/1.1 200 O").unwrap()).await,
        Answer::NoAnswer(NetworkError::Closed)
    );
    assert_eq!(
        clear_against(|mut stream| stream
            .get_mut()
            .write_all(b"220 mail.example.com ESMTP\r\n\r\n")
            .unwrap())
        .await,
        Answer::NoAnswer(NetworkError::Garbled)
    );
    // Closing a socket with unread bytes makes the kernel send a reset.
    let (endpoint, server) = serve(|listener| {
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut [0; 10]).unwrap();
        sleep(Duration::from_millis(50));
    });
    assert_eq!(clear(&client(), &endpoint, SOON).await, Answer::NoAnswer(NetworkError::Reset));
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn any_status_but_200_is_reported_as_such() {
    for status in [201, 204, 404, 429, 500, 502] {
        let answer = clear_against(move |mut stream| respond(&mut stream, &format!("{status} X"), OK)).await;
        assert_eq!(answer, Answer::HttpStatus { status, retry_after: None });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_a_429_and_a_503_ask_for_a_pause() {
    for (status, pause) in [(429, Some(30)), (503, Some(30)), (500, None), (301, None)] {
        let head = format!("{status} X\r\nRetry-After: 30");
        let answer = clear_against(move |mut stream| respond(&mut stream, &head, OK)).await;
        let retry_after = pause.map(Duration::from_secs);
        assert_eq!(answer, Answer::HttpStatus { status, retry_after });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_that_is_not_the_documented_one_is_unreadable() {
    for (body, unreadable) in [
        ("<html>https://x/?usersig=1</html>", InvalidReply::NotJson),
        ("", InvalidReply::Truncated),
        (r#"{"ErrorCode":"0"}"#, InvalidReply::NoCode),
    ] {
        let answer = clear_against(move |mut stream| respond(&mut stream, "200 OK", body)).await;
        assert_eq!(answer, Answer::Unreadable(unreadable));
    }
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"ErrorCode\":0}";
    let answer = clear_against(move |mut stream| stream.get_mut().write_all(cut).unwrap()).await;
    assert_eq!(answer, Answer::Unreadable(InvalidReply::Truncated));
}

/// What HTTP lets a gateway do to an answer without changing what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_a_gateway_has_passed_on_in_another_form_is_read() {
    let length = OK.len();
    let (first, rest) = OK.split_at(7);
    let chunked = format!(
        "Transfer-Encoding: chunked\r\n\r\n7;name=value\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\nX-Sum: 1\r\n\r\n",
        rest.len()
    );
    for response in [
        format!("HTTP/1.1 200 OK\r\n{chunked}"),
        format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{OK}"
        ),
        format!("HTTP/1.1 203 Non-Authoritative Information\r\nContent-Length: {length}\r\n\r\n{OK}"),
        format!(
            "HTTP/1.1 200\r\ncontent-length:{length}\r\nContent-Encoding: identity\r\nContent-Type: text/plain\r\n\r\n{OK}"
        ),
        format!("HTTP/1.0 200 OK\r\nVia: 1.0 gateway\r\n\r\n{OK}"),
    ] {
        let sent = response.clone();
        let answer = clear_against(move |mut stream| {
            stream.get_mut().write_all(sent.as_bytes()).unwrap();
        })
        .await;
        assert!(
            matches!(&answer, Answer::Reply(reply) if reply.class() == Class::Success),
            "{response}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_compressed_all_the_same_is_named() {
    for encoding in ["gzip", "GZIP", "br", "identity, deflate", "x-unknown"] {
        let head = format!("200 OK\r\nContent-Encoding: {encoding}");
        let answer = clear_against(move |mut stream| respond(&mut stream, &head, OK)).await;
        assert_eq!(answer, Answer::Unreadable(InvalidReply::Compressed), "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reading_stops_at_the_limit() {
    for head in ["Content-Length: 1073741824", "X-No-Length: until close"] {
        let answer = clear_against(move |mut stream| {
            let stream = stream.get_mut();
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n").unwrap();
            let mut written = 0;
            let spaces = vec![b' '; 65_536];
            while stream.write_all(&spaces).is_ok() {
                written += 65_536;
            }
            assert!(written < 64 << 20, "the client kept reading: {written}");
        })
        .await;
        assert_eq!(answer, Answer::Unreadable(InvalidReply::TooLarge));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn too_many_headers_are_refused() {
    let answer = clear_against(|mut stream| {
        let headers = "X-Filler: 1\r\n".repeat(65);
        let _ = write!(stream.get_mut(), "HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n");
    })
    .await;
    assert_eq!(answer, Answer::NoAnswer(NetworkError::Garbled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_timeout_covers_the_whole_answer_and_the_connection_is_dropped() {
    for sent in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"] {
        let (endpoint, server) = serve_one(move |mut stream| {
            stream.get_mut().write_all(sent.as_bytes()).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the client must close the connection");
        });
        let start = Instant::now();
        let answer = clear(&client(), &endpoint, Duration::from_millis(200)).await;
        assert_eq!(answer, Answer::NoAnswer(NetworkError::Timeout));
        assert!(start.elapsed() < Duration::from_millis(4500));
        server.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_fails_before_the_request_is_written_was_not_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(clear(&client(), &local(free), SOON).await, Answer::NotSent(NetworkError::Refused));

    let nowhere = Endpoint::parse("https://chat.invalid").unwrap();
    let answer = clear(&client(), &nowhere, SOON).await;
    let slow_resolver = Answer::NotSent(NetworkError::ConnectTimeout);
    assert!(answer == Answer::NotSent(NetworkError::Dns) || answer == slow_resolver, "{answer:?}");

    for greeting in ["", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let (endpoint, server) = serve(move |listener| {
            let mut stream = listener.accept().unwrap().0;
            let mut hello = [0; 4096];
            let length = stream.read(&mut hello).unwrap();
            stream.write_all(greeting.as_bytes()).unwrap();
            String::from_utf8_lossy(&hello[..length]).into_owned()
        });
        let tls = Endpoint::parse(&format!("https://{}", endpoint.authority())).unwrap();
        assert_eq!(clear(&client(), &tls, SOON).await, Answer::NotSent(NetworkError::Tls));
        let hello = server.join().unwrap();
        assert!(
            hello.contains("http/1.1") && !hello.contains("h2") && !hello.contains("group_open"),
            "{hello}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handshake_that_hangs_was_not_sent() {
    let (endpoint, server) = serve(|listener| {
        let mut stream = accept(&listener);
        std::io::copy(&mut stream, &mut std::io::sink()).ok();
    });
    let tls = Endpoint::parse(&format!("https://{}", endpoint.authority())).unwrap();
    assert_eq!(clear(&client(), &tls, SOON).await, Answer::NotSent(NetworkError::ConnectTimeout));
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_vendors_text_is_cleaned_of_the_signature() {
    for leak in [usersig().expose().to_owned(), "http://x/?usersig=1".to_owned()] {
        let body = format!(r#"{{"ErrorCode":70003,"ErrorInfo":"bad: {leak}","RequestId":"{leak}"}}"#);
        let Answer::Reply(reply) =
            clear_against(move |mut stream| respond(&mut stream, "200 OK", &body)).await
        else {
            panic!("no reply")
        };
        assert_eq!((reply.error_code, reply.error_info.as_str()), (70003, ""));
        assert_eq!(reply.request_id.as_deref(), Some(""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_vendors_id_of_a_call_is_kept_and_stays_short() {
    let body = format!(r#"{{"ErrorCode":0,"RequestId":"a\u200b-1{}"}}"#, "z".repeat(200));
    let Answer::Reply(reply) = clear_against(move |mut stream| respond(&mut stream, "200 OK", &body)).await
    else {
        panic!("no reply")
    };
    assert_eq!(reply.request_id, Some(format!("a-1{}", "z".repeat(125))));
}
