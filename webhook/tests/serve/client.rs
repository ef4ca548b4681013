//! A server of a test's own, and what is needed to talk to it.

use axum::http::{Request, StatusCode};
use curfew::serve::{
    Admit, Answer, Broken, Config, Ended, Facts, Identity, Readiness, Reviews, Server, Signals,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// Longer than anything here takes on a machine that is busy; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) webhook: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) signals: UnboundedSender<&'static str>,
    pub(crate) ca: Option<String>,
    ended: JoinHandle<Result<Ended, Broken>>,
}

/// One connection that speaks HTTP.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) text: String,
}

/// Admits everything, and says how long the review was.
pub(crate) fn trivial(body: &[u8]) -> Answer {
    let facts = Facts { workload: "job".into(), strategy: "none", outcome: "unchanged", patch_bytes: 0 };
    Answer {
        status: StatusCode::OK,
        body: format!("{{\"got\":{}}}", body.len()).into_bytes(),
        facts: Some(facts),
    }
}

/// A condition that must come true some time.
pub(crate) async fn eventually<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A server on free ports with a certificate of its own, changed as the test needs it.
pub(crate) async fn start(admit: impl Admit, change: impl FnOnce(&mut Config)) -> Running {
    start_as(Identity::SelfSigned(vec!["localhost".parse().unwrap()]), admit, change).await
}

/// The same under another certificate.
pub(crate) async fn start_as(
    identity: Identity,
    admit: impl Admit,
    change: impl FnOnce(&mut Config),
) -> Running {
    let free = "127.0.0.1:0".parse().unwrap();
    let mut config =
        Config { listen: free, admin_listen: free, drain_delay: Duration::ZERO, ..Config::default() };
    change(&mut config);
    let server = Server::bind(config, Some(Reviews { identity, admit: Arc::new(admit) })).await.unwrap();
    let (signals, received) = Signals::by_hand();
    Running {
        webhook: server.webhook_address().unwrap(),
        admin: server.admin_address(),
        readiness: server.readiness(),
        ca: server.ca_pem().map(str::to_owned),
        signals,
        ended: tokio::spawn(server.run(received)),
    }
}

impl Running {
    /// A TLS connection, to be written to by the byte.
    pub(crate) async fn raw(&self) -> TlsStream<TcpStream> {
        self.raw_with(self.ca.as_deref().unwrap(), &[]).await.unwrap()
    }

    pub(crate) async fn raw_with(&self, ca: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(curfew_certs::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(self.webhook).await?;
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::over(self.raw().await).await
    }

    /// What the admin port says.
    pub(crate) async fn admin(&self, path: &str) -> Reply {
        let mut connection = Connection::over(TcpStream::connect(self.admin).await.unwrap()).await;
        connection.send(request("GET", path, None, "")).await
    }

    /// The value of one series, if it is there.
    pub(crate) async fn metric(&self, series: &str) -> Option<String> {
        let page = self.admin("/metrics").await.text;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(str::to_owned)
    }

    /// Waits for a series to have a value.
    pub(crate) async fn metric_becomes(&self, series: &str, value: &str) {
        let poll = async {
            while self.metric(series).await.as_deref() != Some(value) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        eventually(&format!("{series} {value}"), poll).await;
    }

    pub(crate) fn signal(&self) {
        self.signals.send("SIGTERM").unwrap();
    }

    pub(crate) async fn ended(self) -> Ended {
        eventually("the end of the server", self.ended).await.unwrap().unwrap()
    }

    /// Waits until nobody listens on the webhook's port any more.
    pub(crate) async fn refuses_connections(&self) {
        let poll = async {
            while TcpStream::connect(self.webhook).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        eventually("a closed port", poll).await;
    }
}

impl Connection {
    async fn over<T>(stream: T) -> Self
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender, task: tokio::spawn(connection) }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        let answer = async {
            self.sender.ready().await.unwrap();
            let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
            let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            Reply { status: head.status, headers: head.headers, text }
        };
        eventually("an answer", answer).await
    }

    pub(crate) async fn review(&mut self, body: &'static str) -> Reply {
        self.send(request("POST", "/mutate?timeout=5s", Some("application/json"), body)).await
    }

    /// Waits for the server to close it.
    pub(crate) async fn closed(self) {
        let _ = eventually("a closed connection", self.task).await.unwrap();
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(Full::new(body.into())).unwrap()
}

/// A review's head, for those who write by the byte.
pub(crate) fn head(length: usize) -> String {
    format!(
        "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Writes, and says whether the peer still takes it.
pub(crate) async fn write(stream: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &str) -> bool {
    stream.write_all(bytes.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}

/// Everything up to the end, however the end comes.
pub(crate) async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let _ = eventually("the end of the stream", stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}
