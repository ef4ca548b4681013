//! The TLS the API server speaks to the injector.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
    server::TlsStream,
};

/// A listener whose connections have shaken hands.
pub(crate) struct Listener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

/// One who connects and says nothing holds up the others for this long.
const HANDSHAKE: Duration = Duration::from_secs(2);

// === impl Listener ===

impl Listener {
    /// Binds, with a certificate and its key from files.
    pub(crate) async fn bind(address: SocketAddr, certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("--tls-cert {}: no PEM to read", certificate.display()))?;
        let key = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("--tls-key {}: no PEM to read", key.display()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("--tls-cert and --tls-key do not belong together")?;
        let tcp = TcpListener::bind(address).await.with_context(|| format!("--listen {address}"))?;
        Ok(Self { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.tcp.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            match timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => return (stream, peer),
                Ok(Err(error)) => tracing::debug!(%peer, "No handshake: {error}"),
                Err(_) => tracing::warn!(%peer, "No handshake within {HANDSHAKE:?}"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
