//! A TCP server with its own thread and runtime.
//!
//! A busy test must not distort arrival times, and a server in a static must outlive the runtime of the test
//! that started it.

use std::{future::Future, io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};

use crate::{certificates::ServerCertificate, ports};

/// A connection with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes closing send RST instead of FIN.
    fn reset_when_closed(&self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn reset_when_closed(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Wire for TlsStream<TcpStream> {
    fn reset_when_closed(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

/// The requested and the actual state of the thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down,
    Gone,
}

/// A listening port, closed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    wanted: watch::Sender<State>,
    reached: watch::Receiver<State>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and passes each connection, with its number, to `converse`.
    pub(crate) fn start<Converse, Conversation>(name: &str, converse: Converse) -> Result<Self>
    where
        Converse: Fn(TcpStream, u64) -> Conversation + Send + 'static,
        Conversation: Future<Output = ()> + Send + 'static,
    {
        let listener = ports::listen();
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (wanted, orders) = watch::channel(State::Up);
        let (report, reached) = watch::channel(State::Up);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(listen(listener, address, converse, orders, report)))?;
        Ok(Self { address, wanted, reached, thread: Some(thread) })
    }

    /// Closes the port and all connections; new ones are refused.
    pub(crate) fn go_down(&self) {
        self.go(State::Down);
    }

    /// Opens the same port again.
    pub(crate) fn come_back(&self) {
        self.go(State::Up);
    }

    fn go(&self, state: State) {
        self.wanted.send_replace(state);
        while *self.reached.borrow() != state {
            assert!(
                self.thread.as_ref().is_some_and(|thread| !thread.is_finished()),
                "the server's thread has ended"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.wanted.send_replace(State::Gone);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listen<Converse, Conversation>(
    first: std::net::TcpListener,
    address: SocketAddr,
    converse: Converse,
    mut orders: watch::Receiver<State>,
    report: watch::Sender<State>,
) where
    Converse: Fn(TcpStream, u64) -> Conversation,
    Conversation: Future<Output = ()> + Send + 'static,
{
    let mut listener = Some(TcpListener::from_std(first).expect("a listener that does not block"));
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let order = *orders.borrow_and_update();
        match order {
            State::Gone => return,
            State::Down => {
                listener = None;
                connections.shutdown().await;
            }
            State::Up if listener.is_some() => {}
            State::Up => listener = Some(TcpListener::bind(address).await.expect("the port is still ours")),
        }
        report.send_replace(order);
        loop {
            tokio::select! {
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                Some(stream) = accept(listener.as_ref()) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(converse(stream, number));
                    number += 1;
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// TLS with this certificate, HTTP/1.1 only.
pub(crate) fn acceptor(certificate: &ServerCertificate) -> Result<TlsAcceptor> {
    let chain =
        CertificateDer::pem_slice_iter(certificate.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).context("the key just made")?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// TLS with a server whose certificate this authority (PEM) has signed, HTTP/1.1 only.
pub(crate) fn connector(ca: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
