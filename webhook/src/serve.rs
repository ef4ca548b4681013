//! The server: a TLS port for reviews, a plain one for probes and metrics, and an orderly end.
//!
//! It knows nothing of pods. What a review is answered with is up to an [`Admit`]; the server sees to it that there
//! is an answer, that no client can hold it up, and that none is lost when it goes.

mod admin;
mod admit;
mod announce;
mod body;
mod connection;
mod expiry;
mod limits;
mod listener;
mod metrics;
mod readiness;
mod routes;
mod shutdown;
mod timed;
mod tls;

pub use admit::{Admit, Answer, Facts};
pub use limits::Limits;
pub use metrics::Metrics;
pub use readiness::{Gate, Readiness, Ready};
pub use routes::PATH;
pub use shutdown::{Broken, Ended, Signals};
pub use tls::Identity;

use announce::Announcement;
use curfew_certs::{IssueError, LoadError};
use futures_util::FutureExt;
use listener::{Listener, Secure};
use shutdown::{Parts, Phase};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::rustls;

/// How the server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port for reviews; 0 takes any that is free.
    pub listen: SocketAddr,
    /// The port for probes and metrics, in plain HTTP.
    pub admin_listen: SocketAddr,
    /// How often certificate files are looked at.
    pub reload_every: Duration,
    /// What a client of the webhook's port may take.
    pub limits: Limits,
    /// How long reviews are still answered after the first signal, until no endpoint leads here any more.
    pub drain_delay: Duration,
    /// How long open connections then get to finish.
    pub drain_timeout: Duration,
    /// Where to write the addresses once they are bound.
    pub announce: Option<PathBuf>,
}

/// Who answers reviews, and with what certificate.
pub struct Reviews {
    /// The certificate.
    pub identity: Identity,
    /// Whoever answers.
    pub admit: Arc<dyn Admit>,
}

/// Why the server cannot start. Every message names the flag to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A certificate from files.
    #[error("--tls-cert, --tls-key: {0}")]
    Certificate(#[source] LoadError),
    /// A certificate of our own.
    #[error("--self-signed: {0}")]
    SelfSigned(#[source] IssueError),
    /// The TLS library.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// A port.
    #[error("{flag} {address}: cannot listen there: {source}")]
    Bind {
        /// The flag that gave the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The file with the addresses.
    #[error("--announce {}: cannot write it: {source}", path.display())]
    Announce {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A server whose ports are bound. Nothing is answered until it runs.
#[must_use = "a server does nothing until it is run"]
pub struct Server {
    webhook: Option<Webhook>,
    admin: Listener,
    metrics: Metrics,
    readiness: Readiness,
    listening: Gate,
    config: Config,
}

/// The port for reviews.
struct Webhook {
    listener: Listener,
    secure: Secure,
    identity: tls::Loaded,
}

/// The same at work.
struct Serving {
    phase_tx: watch::Sender<Phase>,
    /// One permit a connection.
    slots: Arc<Semaphore>,
}

/// The admin port needs a few connections only: the kubelet's and a scraper's.
const ADMIN_CONNECTIONS: u32 = 64;

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 9443)),
            admin_listen: SocketAddr::from(([0, 0, 0, 0], 9090)),
            // The kubelet itself needs up to a minute or two to bring a changed Secret into the pod.
            reload_every: Duration::from_secs(10),
            limits: Limits::default(),
            drain_delay: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            announce: None,
        }
    }
}

// === impl Server ===

impl Server {
    /// Loads the certificate, then binds the ports, then tells where. Without `reviews` there is the admin port alone.
    pub async fn bind(config: Config, reviews: Option<Reviews>) -> Result<Self, ServeError> {
        let metrics = Metrics::new();
        let readiness = Readiness::default();
        let listening = readiness.gate("the listener");
        let webhook = match reviews {
            Some(reviews) => Some(Webhook::bind(reviews, &config, metrics.clone()).await?),
            None => None,
        };

        let tcp = bind("--admin-listen", config.admin_listen).await?;
        let limits = Limits { connections: ADMIN_CONNECTIONS, ..config.limits };
        let admin = Listener::new(tcp, admin::router(readiness.clone(), metrics.clone()), limits);

        let server = Self { webhook, admin, metrics, readiness, listening, config };
        server.announce()?;
        Ok(server)
    }

    /// The address of the webhook's port, with the number it got.
    pub fn webhook_address(&self) -> Option<SocketAddr> {
        self.webhook.as_ref().map(|webhook| webhook.listener.tcp.local_addr().unwrap_or(self.config.listen))
    }

    /// The address of the admin port.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.tcp.local_addr().unwrap_or(self.config.admin_listen)
    }

    /// The CA a client must trust, where the certificate is our own.
    pub fn ca_pem(&self) -> Option<&str> {
        self.webhook.as_ref()?.identity.ca_pem.as_deref()
    }

    /// For others that readiness has to wait for.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// For others that count something.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Serves until the first signal, drains, and ends; at once on a second signal.
    ///
    /// # Errors
    /// A part of it panicked.
    pub async fn run(self, mut signals: Signals) -> Result<Ended, Broken> {
        let Self { webhook, admin, metrics: _, readiness, listening, config } = self;
        // The admin port serves to the end, to say that we are draining; it closes when its sender is dropped.
        let (_admin_tx, admin_phase) = watch::channel(Phase::Serving);
        let mut parts = Parts::new();
        parts.spawn(admin.run(None, admin_phase).map(Ok));
        let webhook = webhook.map(|webhook| webhook.start(&mut parts, config.reload_every));
        listening.open();
        let ended = async {
            let signal = signals.next().await;
            let Some(webhook) = webhook else {
                tracing::info!(signal, "Ending");
                return Ended::Drained;
            };
            tracing::info!(signal, delay = ?config.drain_delay, "Draining");
            readiness.drain();
            webhook.drain(&config, &mut signals).await
        };
        tokio::select! {
            ended = ended => Ok(ended),
            broken = Broken::of(&mut parts) => Err(broken),
        }
    }

    fn announce(&self) -> Result<(), ServeError> {
        let (webhook, admin) = (self.webhook_address(), self.admin_address());
        let shown = webhook.map(tracing::field::display);
        tracing::info!(webhook = shown, %admin, version = env!("CARGO_PKG_VERSION"), "Listening");
        let Some(path) = &self.config.announce else { return Ok(()) };
        Announcement::new(webhook, admin, self.ca_pem())
            .write(path)
            .map_err(|source| ServeError::Announce { path: path.clone(), source })
    }
}

// === impl Webhook ===

impl Webhook {
    async fn bind(reviews: Reviews, config: &Config, metrics: Metrics) -> Result<Self, ServeError> {
        let Reviews { identity, admit } = reviews;
        let identity = identity.load()?;
        let acceptor = identity.acceptor()?;
        metrics.registry().register_collector(Box::new(expiry::NotAfter(identity.resolver())));
        let tcp = bind("--listen", config.listen).await?;
        let router = routes::router(admit, metrics.clone(), config.limits);
        let listener = Listener::new(tcp, router, config.limits);
        Ok(Self { listener, secure: Secure { acceptor, metrics }, identity })
    }

    /// Begins to serve; what it takes to end that.
    fn start(self, parts: &mut Parts, reload_every: Duration) -> Serving {
        let Self { listener, secure, identity } = self;
        let (phase_tx, phase) = watch::channel(Phase::Serving);
        let slots = Arc::clone(&listener.slots);
        parts.spawn(listener.run(Some(secure), phase).map(Ok));
        if let Some(reloader) = identity.reloader {
            parts.spawn(tls::follow(reloader, reload_every).map(Err));
        }
        Serving { phase_tx, slots }
    }
}

// === impl Serving ===

impl Serving {
    async fn drain(self, config: &Config, signals: &mut Signals) -> Ended {
        let Self { phase_tx, slots } = self;
        let drain = async {
            phase_tx.send_replace(Phase::Draining);
            sleep(config.drain_delay).await;
            phase_tx.send_replace(Phase::Closing);
            tracing::info!(timeout = ?config.drain_timeout, "No longer accepting connections");
            close(&slots, config).await
        };
        let ended = tokio::select! {
            ended = drain => ended,
            signal = signals.next() => {
                tracing::warn!(signal, "Second signal, ending at once");
                Ended::Aborted
            }
        };
        phase_tx.send_replace(Phase::Cut);
        ended
    }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { flag, address, source })
}

/// Waits until every connection has given its slot back, or time is up.
async fn close(slots: &Arc<Semaphore>, config: &Config) -> Ended {
    let all = config.limits.connections;
    if timeout(config.drain_timeout, slots.acquire_many(all)).await.is_ok() {
        tracing::info!("Drained");
        return Ended::Drained;
    }
    let cut = (all as usize).saturating_sub(slots.available_permits());
    tracing::warn!(connections = cut, "Connections did not finish in time, cutting them");
    Ended::Cut(cut)
}
