mod answer;
mod proxied;
mod request;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, sleep, spawn};

use super::*;
use crate::chat::secret_key::{KeyFormat, SecretKey};

const OK: &str = r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#;
const SOON: Duration = Duration::from_secs(5);

/// A server that runs `script` with its listener.
fn serve<T: Send + 'static>(
    script: impl FnOnce(TcpListener) -> T + Send + 'static,
) -> (Endpoint, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (local(port), spawn(move || script(listener)))
}

fn local(port: u16) -> Endpoint {
    Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap()
}

/// A server that receives one request and then runs `act` with the connection.
fn serve_one(act: impl FnOnce(BufReader<TcpStream>) + Send + 'static) -> (Endpoint, JoinHandle<()>) {
    serve(|listener| {
        let mut stream = accept(&listener);
        receive(&mut stream).unwrap();
        act(stream);
    })
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    BufReader::new(stream)
}

fn no_connection_arrives(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    sleep(Duration::from_millis(200));
    listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

struct Received {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// `None` when the peer closed the connection instead.
fn receive(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut lines = stream.by_ref().lines().map_while(Result::ok);
    let line = lines.next()?;
    let headers: BTreeMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap()
        })
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    Some(Received { line, headers, body: String::from_utf8(body).unwrap() })
}

fn respond(stream: &mut BufReader<TcpStream>, head: &str, body: &str) {
    let response = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.get_mut().write_all(response.as_bytes()).unwrap();
}

fn client() -> ChatClient {
    ChatClient::new(&settings("groupattr-operator/test")).unwrap()
}

fn settings(user_agent: &str) -> Settings {
    Settings { user_agent: user_agent.to_owned(), https_proxy: None }
}

fn usersig() -> UserSig {
    UserSig::mint(
        &SecretKey::parse(&[b'c'; 64], KeyFormat::Hex64).unwrap(),
        1_400_000_000,
        "admin",
        1_700_000_002,
        86_400,
    )
}

/// Makes one clear, and checks that nothing it returns discloses the signature or the URL.
async fn clear(client: &ChatClient, endpoint: &Endpoint, timeout: Duration) -> Answer {
    let (usersig, group) = (usersig(), GroupId::parse("@TGS#aC5SZEAEF").unwrap());
    let call = Call {
        endpoint,
        sdk_app_id: 1_400_000_000,
        identifier: "ad min/ü&=~",
        usersig: &usersig,
        group: &group,
        timeout,
    };
    let answer = client.clear(call).await;
    let message = match &answer {
        Answer::NotSent(error) | Answer::NoAnswer(error) => error.to_string(),
        _ => String::new(),
    };
    let shown = format!("{answer:?} {answer:#?} {client:?} {message}");
    for secret in [&usersig.expose()[..16], "usersig=", "sdkappid", "://", "canary"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    answer
}

/// Makes one clear against a server that runs `act` once it has received the request.
async fn clear_against(act: impl FnOnce(BufReader<TcpStream>) + Send + 'static) -> Answer {
    let (endpoint, server) = serve_one(act);
    let answer = clear(&client(), &endpoint, SOON).await;
    server.join().unwrap();
    answer
}
