//! A forward proxy as companies have them: it carries TLS to where CONNECT says, to everybody or to those who know a
//! password, refuses if it is told to, or opens TLS and looks inside.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName};

use crate::{
    certificates::Authority,
    scratch,
    server::{Server, acceptor, connector},
};

/// A request to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method, which should be `CONNECT`.
    pub method: String,
    /// `host:port`
    pub target: String,
    /// `user:password`, if credentials came.
    pub credentials: Option<String>,
    /// The status of the answer.
    pub answer: u16,
}

/// A running proxy. It ends with this object; it needs no runtime.
pub struct ForwardProxy {
    shared: Arc<Shared>,
    server: Server,
    own: Option<OwnAuthority>,
}

/// An authority of its own, and its certificate for `127.0.0.1`.
struct OwnAuthority {
    acceptor: TlsAcceptor,
    ca: PathBuf,
    _folder: TempDir,
}

impl OwnAuthority {
    fn new() -> Result<Self> {
        let authority = Authority::new("testbed forward proxy")?;
        let folder = scratch::folder("forward-proxy-")?;
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem())?;
        Ok(Self { acceptor: acceptor(&authority.server(&["127.0.0.1"])?)?, ca, _folder: folder })
    }
}

#[derive(Default)]
struct Shared {
    /// `user:password`
    admits: Option<String>,
    /// On the way from the client to the proxy.
    speaks_tls: Option<TlsAcceptor>,
    /// On the way from the client to the target.
    opens_tls: Option<(TlsAcceptor, TlsConnector)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    refuses: Option<u16>,
    asked: Vec<Asked>,
    opened: usize,
}

impl ForwardProxy {
    /// For everybody.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start() -> Result<Self> {
        Self::listening(Shared::default(), None)
    }

    /// For this user only; others get 407.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start_for(user: &str, password: &str) -> Result<Self> {
        Self::listening(Shared { admits: Some(format!("{user}:{password}")), ..Shared::default() }, None)
    }

    /// For this user only, and spoken to by TLS: its URL begins with `https://`.
    ///
    /// # Errors
    /// When no port can be opened.
    pub fn start_tls_for(user: &str, password: &str) -> Result<Self> {
        let own = OwnAuthority::new()?;
        let tls = Some(own.acceptor.clone());
        Self::listening(
            Shared { admits: Some(format!("{user}:{password}")), speaks_tls: tls, ..Shared::default() },
            Some(own),
        )
    }

    /// Opens TLS: it answers as `127.0.0.1` by a certificate of its own authority, and trusts the authority of the target.
    ///
    /// # Errors
    /// When no port can be opened or an authority cannot be read.
    pub fn start_opening_tls(ca_of_target: &Path) -> Result<Self> {
        let own = OwnAuthority::new()?;
        let both = (own.acceptor.clone(), connector(&fs::read_to_string(ca_of_target)?)?);
        Self::listening(Shared { opens_tls: Some(both), ..Shared::default() }, Some(own))
    }

    fn listening(shared: Shared, own: Option<OwnAuthority>) -> Result<Self> {
        let shared = Arc::new(shared);
        let seen = Arc::clone(&shared);
        let server = Server::start("forward proxy", move |stream, _| {
            let shared = Arc::clone(&seen);
            async move {
                // Whatever ends it is the test's doing, or the client's.
                let _ = match &shared.speaks_tls {
                    None => shared.converse(stream).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => shared.converse(stream).await,
                        Err(error) => Err(error.into()),
                    },
                };
            }
        })?;
        Ok(Self { shared, server, own })
    }

    /// `127.0.0.1:…`
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Its URL without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.speaks_tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address)
    }

    /// The authority to trust if it speaks or opens TLS, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.ca.as_path())
    }

    /// From now on it answers this status to everybody; `None`: it works again.
    pub fn refuse(&self, status: Option<u16>) {
        self.shared.state().refuses = status;
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// How often a client accepted the certificate with which it opens TLS.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.shared.state().opened
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while holding this lock")
    }

    async fn converse(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        // The client sends nothing more before it has an answer.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&head)?;
        let method = request.method.unwrap_or_default().to_owned();
        let target = request.path.unwrap_or_default().to_owned();
        let credentials = credentials(request.headers);

        let refuses = self.state().refuses;
        let is_admitted = self.admits.is_none() || self.admits == credentials;
        let upstream = match refuses {
            Some(status) => Err(status),
            None if !is_admitted => Err(407),
            None if method != "CONNECT" => Err(405),
            None => TcpStream::connect(&target).await.map_err(|_| 502),
        };
        let answer = *upstream.as_ref().err().unwrap_or(&200);
        self.state().asked.push(Asked { method, target: target.clone(), credentials, answer });
        let challenge = if answer == 407 { "Proxy-Authenticate: Basic realm=\"testbed\"\r\n" } else { "" };
        stream.write_all(format!("HTTP/1.1 {answer} Answer\r\n{challenge}\r\n").as_bytes()).await?;
        let Ok(mut upstream) = upstream else { return Ok(()) };
        let Some((acceptor, connector)) = &self.opens_tls else {
            copy_bidirectional(&mut stream, &mut upstream).await?;
            return Ok(());
        };
        let mut stream = acceptor.accept(stream).await?;
        self.state().opened += 1;
        let host = target.rsplit_once(':').context("host:port")?.0.to_owned();
        let mut upstream = connector.connect(ServerName::try_from(host)?, upstream).await?;
        copy_bidirectional(&mut stream, &mut upstream).await?;
        Ok(())
    }
}

fn credentials(headers: &[httparse::Header<'_>]) -> Option<String> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("proxy-authorization"))?;
    let encoded = std::str::from_utf8(header.value).ok()?.strip_prefix("Basic ")?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
