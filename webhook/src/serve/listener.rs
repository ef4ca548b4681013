//! A port: accepts, shakes hands, serves, and holds back when there is too much.

use super::{Limits, connection, metrics::Metrics, shutdown::Phase, timed::Timed, tls};
use axum::Router;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// One port with what it serves.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) router: Router,
    pub(super) limits: Limits,
    /// One permit a connection.
    pub(super) slots: Arc<Semaphore>,
}

/// What the connections of the webhook's port have over those of the other.
#[derive(Clone)]
pub(super) struct Secure {
    pub(super) acceptor: TlsAcceptor,
    pub(super) metrics: Metrics,
}

/// Long enough for a few connections to end and give their descriptors back, short enough for the apiserver not to
/// notice.
const PAUSE: Duration = Duration::from_millis(250);

// === impl Listener ===

impl Listener {
    pub(super) fn new(tcp: TcpListener, router: Router, limits: Limits) -> Self {
        Self { tcp, router, limits, slots: Arc::new(Semaphore::new(limits.connections as usize)) }
    }

    /// Accepts connections until the server closes; those that stand live on by themselves.
    pub(super) async fn run(self, secure: Option<Secure>, phase: watch::Receiver<Phase>) {
        let Self { tcp, router, limits, slots } = self;
        let mut closing = phase.clone();
        let accept_all = async {
            // The permit comes first: at the limit nothing is accepted, and the kernel's backlog holds the rest back.
            while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
                let (stream, peer) = accept(&tcp).await;
                let (router, secure, phase) = (router.clone(), secure.clone(), phase.clone());
                tokio::spawn(async move {
                    serve(stream, peer, router, secure, &limits, phase).await;
                    drop(slot);
                });
            }
        };
        tokio::select! {
            () = accept_all => {}
            () = Phase::Closing.reached(&mut closing) => {}
        }
    }
}

/// The next connection, whatever it takes.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match tcp.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_the_peers(&error) => {
                tracing::debug!(%error, "Connection gone before it was accepted")
            }
            Err(error) => {
                tracing::warn!(%error, pause = ?PAUSE, "Cannot accept connections, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether an error concerns one connection only, and not the process (no descriptors, no memory).
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    secure: Option<Secure>,
    limits: &Limits,
    phase: watch::Receiver<Phase>,
) {
    // An answer is one write; waiting for more to send with it would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "Cannot set TCP_NODELAY");
    }
    let result = match secure {
        None => connection::serve(Timed::new(stream, limits), router, phase).await,
        Some(Secure { acceptor, metrics }) => {
            let _connected = metrics.connected();
            let Some(stream) = handshake(stream, peer, &acceptor, limits, &metrics, phase.clone()).await
            else {
                return;
            };
            let result = connection::serve(Timed::new(stream, limits), router, phase).await;
            if result.as_ref().is_err_and(is_a_slow_head) {
                metrics.rejected("header_timeout");
            }
            result
        }
    };
    if let Err(error) = result {
        // Whoever made it happen knows; here it would fill the log of a port that anybody can reach.
        tracing::debug!(%peer, error = %anyhow::Error::from(error), "Connection failed");
    }
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    limits: &Limits,
    metrics: &Metrics,
    mut phase: watch::Receiver<Phase>,
) -> Option<TlsStream<TcpStream>> {
    let result = tokio::select! {
        result = timeout(limits.handshake, acceptor.accept(stream)) => result,
        () = Phase::Cut.reached(&mut phase) => return None,
    };
    let error = match result {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    let reason = tls::failure(&error);
    metrics.handshake_failed(reason);
    match reason {
        // The one failure that somebody must mend: pods are refused or go unpatched until then.
        "refused_by_client" => tracing::warn!(%peer, %error, "Client refuses our certificate"),
        _ => tracing::debug!(%peer, %error, reason, "TLS handshake failed"),
    }
    None
}

/// Whether a connection ended because a request's head took too long.
fn is_a_slow_head(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_process_call_for_a_pause() {
        const ECONNABORTED: i32 = 103;
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        const ENOMEM: i32 = 12;
        assert!(is_the_peers(&io::Error::from_raw_os_error(ECONNABORTED)));
        for code in [EMFILE, ENFILE, ENOMEM] {
            assert!(!is_the_peers(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
