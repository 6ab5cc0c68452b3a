//! A wire between the operator and the API server that counts what goes over it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub(crate) struct Relay {
    address: SocketAddr,
    bytes: Arc<Bytes>,
    accepting: AbortHandle,
}

/// Of encrypted connections, as they are on the network.
#[derive(Debug, Default)]
struct Bytes {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Relay {
    /// To a server whose URL is `https://host:port`.
    pub(crate) async fn to(url: &str) -> Result<Self> {
        let server: SocketAddr =
            url.trim_start_matches("https://").parse().context("the API server's address")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let bytes = Arc::new(Bytes::default());
        let counted = Arc::clone(&bytes);
        let accepting = tokio::spawn(async move {
            while let Ok((operator, _)) = listener.accept().await {
                tokio::spawn(connect(operator, server, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, bytes, accepting: accepting.abort_handle() })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Bytes that the operator sent and received so far.
    pub(crate) fn bytes(&self) -> (f64, f64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        (read(&self.bytes.sent), read(&self.bytes.received))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(operator: TcpStream, server: SocketAddr, bytes: Arc<Bytes>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (operator.set_nodelay(true), server.set_nodelay(true));
    let (from_operator, to_operator) = operator.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        copy(from_operator, to_server, &bytes.sent),
        copy(from_server, to_operator, &bytes.received)
    );
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counter: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        counter.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
