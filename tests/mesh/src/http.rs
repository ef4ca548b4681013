//! One HTTP request over a connection of its own: all that is needed towards Envoy's admin, apps' probes and agents.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) headers: &'a [(String, String)],
}

// === impl Ask ===

impl<'a> Ask<'a> {
    /// Without headers of its own.
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, host: "localhost", headers: &[] }
    }

    /// Asks whoever listens at an address, `host:port`.
    pub(crate) async fn tcp(self, address: &str, patience: Duration) -> anyhow::Result<Answer> {
        let asked = async { self.over(TcpStream::connect(address).await?).await };
        timeout(patience, asked)
            .await
            .with_context(|| format!("{address}{} does not answer within {patience:?}", self.path))?
            .with_context(|| format!("{address}{} does not answer", self.path))
    }

    /// Asks whoever listens at a socket in the file system.
    pub(crate) async fn unix(self, socket: &Path, patience: Duration) -> anyhow::Result<Answer> {
        let asked = async { self.over(UnixStream::connect(socket).await?).await };
        timeout(patience, asked)
            .await
            .with_context(|| format!("{} does not answer within {patience:?}", socket.display()))?
            .with_context(|| format!("{} does not answer", socket.display()))
    }

    async fn over(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<Answer> {
        let Self { method, path, host, headers } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(head, "host: {host}\r\n")?;
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("its answer is no HTTP") };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        // A chunked body keeps its framing; nobody here reads one to the byte.
        Ok(Answer { status: status.context("its answer has no status")?, body: body.to_owned() })
    }
}
