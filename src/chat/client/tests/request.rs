//! What is sent, and how often.

use std::process::Command as Process;

use super::*;
use crate::chat::codes::Class;

/// Waits until the connection is back in the pool: a separate task returns it shortly after the answer.
async fn return_to_pool() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_request_is_exactly_what_the_vendor_documents() {
    let (endpoint, server) = serve(|listener| {
        let mut stream = accept(&listener);
        let received = receive(&mut stream).unwrap();
        respond(&mut stream, "200 OK", OK);
        received
    });
    let Answer::Reply(reply) = clear(&client(), &endpoint, SOON).await else { panic!("no reply") };
    assert_eq!(reply.class(), Class::Success);
    let received = server.join().unwrap();
    let sig = usersig();
    assert!(
        sig.expose().contains(['*', '-', '_']),
        "the signature has no special characters: {}",
        sig.expose()
    );
    let expected = format!(
        "POST /v4/group_open_http_svc/clear_group_attr?sdkappid=1400000000&identifier=ad%20min%2F%C3%BC%26%3D~&usersig={}&random=",
        sig.expose()
    );
    let rest = received.line.strip_prefix(&expected).unwrap_or_else(|| panic!("{}", received.line));
    let random = rest.strip_suffix("&contenttype=json HTTP/1.1").unwrap();
    assert!(random.parse::<u32>().is_ok(), "{random}");
    assert_eq!(received.body, r#"{"GroupId":"@TGS#aC5SZEAEF"}"#);
    let names: Vec<&str> = received.headers.keys().map(String::as_str).collect();
    assert_eq!(names, ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers["host"], endpoint.authority());
    assert_eq!(received.headers["user-agent"], "groupattr-operator/test");
    assert_eq!(received.headers["accept-encoding"], "identity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_read_goes_to_the_other_service_and_counts_attributes() {
    let (endpoint, server) = serve(|listener| {
        let mut stream = accept(&listener);
        let received = receive(&mut stream).unwrap();
        respond(&mut stream, "200 OK", r#"{"ErrorCode":0,"GroupAttrAry":[{"key":"a","value":"b"}]}"#);
        received.line
    });
    let (usersig, group) = (usersig(), GroupId::parse("g").unwrap());
    let call = Call {
        endpoint: &endpoint,
        sdk_app_id: 7,
        identifier: "admin",
        usersig: &usersig,
        group: &group,
        timeout: SOON,
    };
    let Answer::Reply(reply) = client().read(call).await else { panic!("no reply") };
    assert_eq!((reply.class(), reply.attributes), (Class::Success, 1));
    let line = server.join().unwrap();
    assert!(
        line.starts_with("POST /v4/group_open_attr_http_svc/get_group_attr?sdkappid=7&identifier=admin&"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_one_after_another_share_a_connection() {
    let (endpoint, server) = serve(|listener| {
        let mut stream = accept(&listener);
        for _ in 0..3 {
            receive(&mut stream).unwrap();
            respond(&mut stream, "200 OK", OK);
        }
        no_connection_arrives(&listener)
    });
    let client = client();
    for _ in 0..3 {
        assert!(matches!(clear(&client, &endpoint, SOON).await, Answer::Reply(_)));
        return_to_pool().await;
    }
    assert!(server.join().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_closed_pooled_connection_is_replaced_and_nothing_is_sent_twice() {
    let (endpoint, server) = serve(|listener| {
        for _ in 0..5 {
            let mut stream = accept(&listener);
            receive(&mut stream).unwrap();
            respond(&mut stream, "200 OK", OK);
            // Closed while the client has it in its pool.
            drop(stream);
        }
        no_connection_arrives(&listener)
    });
    let client = client();
    for _ in 0..5 {
        assert!(matches!(clear(&client, &endpoint, SOON).await, Answer::Reply(_)));
        return_to_pool().await;
    }
    assert!(server.join().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pooled_connection_that_closes_under_a_request_is_not_tried_again() {
    let (endpoint, server) = serve(|listener| {
        let mut stream = accept(&listener);
        receive(&mut stream).unwrap();
        respond(&mut stream, "200 OK", OK);
        receive(&mut stream).unwrap();
        drop(stream);
        no_connection_arrives(&listener)
    });
    let client = client();
    assert!(matches!(clear(&client, &endpoint, SOON).await, Answer::Reply(_)));
    return_to_pool().await;
    assert_eq!(clear(&client, &endpoint, SOON).await, Answer::NoAnswer(NetworkError::Closed));
    assert!(server.join().unwrap(), "the request was sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = target.local_addr().unwrap().port();
    for status in ["301 Moved", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let head = format!("{status}\r\nLocation: http://127.0.0.1:{port}/elsewhere");
        let answer = clear_against(move |mut stream| respond(&mut stream, &head, "")).await;
        assert_eq!(answer, Answer::HttpStatus { status: status[..3].parse().unwrap(), retry_after: None });
    }
    assert!(no_connection_arrives(&target));
}

/// Run by the test below in a separate process, whose environment can be set.
#[test]
#[ignore = "needs an environment without CA certificates"]
fn without_certificates() {
    let error = ChatClient::new(&settings("test")).unwrap_err();
    assert!(error.to_string().contains("SSL_CERT_FILE names /nonexistent/ca.pem, which cannot be read"));
}

#[test]
fn a_system_without_ca_certificates_is_an_error_that_says_so() {
    let (_crate, module) = module_path!().split_once("::").unwrap();
    let child = Process::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("{module}::without_certificates")])
        .env("SSL_CERT_FILE", "/nonexistent/ca.pem")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

#[test]
fn a_user_agent_that_is_no_header_is_an_error() {
    let error = ChatClient::new(&settings("a\nb")).unwrap_err();
    assert!(matches!(error, ClientError::Setup(_)), "{error}");
}

/// A request that the kernel could not deliver in time must not arrive after the group was read back.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_is_not_taken_over_is_given_up_after_two_seconds() {
    // The server's kernel accepts a few kilobytes of a longer request, and then nothing more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 2048).unwrap();
    let endpoint = local(listener.local_addr().unwrap().port());
    let (usersig, group) = (usersig(), GroupId::parse("g").unwrap());
    let call = Call {
        endpoint: &endpoint,
        sdk_app_id: 7,
        identifier: &"a".repeat(60_000),
        usersig: &usersig,
        group: &group,
        timeout: Duration::from_secs(9),
    };
    let begun = std::time::Instant::now();
    let answer = client().clear(call).await;
    assert!(matches!(answer, Answer::NoAnswer(_)), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "after {:?}", begun.elapsed());
    drop(listener);
}
