//! A stand-in for a mesh proxy: its admin port only, with the manners and the bad manners of the real ones.
//!
//! ```no_run
//! use std::{net::Ipv4Addr, time::Duration};
//! use curfew_tests::standin::{OnShutdown, StandIn};
//!
//! let proxy = StandIn::linkerd(Ipv4Addr::LOCALHOST)
//!     .any_port()
//!     .ready_after(Duration::from_millis(300))
//!     .on_shutdown(OnShutdown::Ok)
//!     .start()?;
//! println!("--ready {} --shutdown {}", proxy.ready_url(), proxy.shutdown_url());
//! assert!(proxy.wait_until_quit(Duration::from_secs(5)));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Threads and `std::net` only, so that a test never waits for a runtime. Dropping the value closes every
//! port.

mod answer;
mod behaviour;
mod builder;
pub(crate) mod http;
mod port;
mod serve;
mod shape;

pub use behaviour::{OnShutdown, UnknownBehaviour, Unready};
pub use builder::Builder;
pub use shape::{Shape, UnknownShape};

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use serve::Shared;

/// One request a stand-in got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The port it came to.
    pub port: u16,
    /// When its head had been read.
    pub at: Instant,
    /// The status it was answered with; `None` where the answer is none of HTTP.
    pub status: Option<u16>,
}

/// A running stand-in proxy; see the [module](self).
#[derive(Debug)]
pub struct StandIn {
    shared: Arc<Shared>,
}

// === impl StandIn ===

impl StandIn {
    /// Linkerd's admin port: `GET :4191/ready`, `POST :4191/shutdown`.
    pub fn linkerd(address: impl Into<IpAddr>) -> Builder {
        Builder::new(Shape::Linkerd, address.into())
    }

    /// Istio's agent: `GET :15021/healthz/ready`, `POST :15020/quitquitquit`.
    pub fn istio(address: impl Into<IpAddr>) -> Builder {
        Builder::new(Shape::Istio, address.into())
    }

    /// A plain Envoy's admin port: `GET :9901/ready`, `POST :9901/quitquitquit`.
    pub fn envoy(address: impl Into<IpAddr>) -> Builder {
        Builder::new(Shape::Envoy, address.into())
    }

    /// A listener of Vault's agent: `POST :8200/agent/v1/quit`.
    pub fn vault(address: impl Into<IpAddr>) -> Builder {
        Builder::new(Shape::Vault, address.into())
    }

    /// Where it says that it is ready.
    pub fn ready_address(&self) -> SocketAddr {
        self.shared.ready_address()
    }

    /// Where it takes the shutdown.
    pub fn shutdown_address(&self) -> SocketAddr {
        self.shared.shutdown_address()
    }

    /// The URL for `--ready`.
    pub fn ready_url(&self) -> String {
        format!("http://{}{}", self.ready_address(), self.shared.ready_path())
    }

    /// The URL for `--shutdown`.
    pub fn shutdown_url(&self) -> String {
        format!("http://{}{}", self.shutdown_address(), self.shared.shutdown_path())
    }

    /// Every request so far, in the order their heads were read.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests()
    }

    /// The requests to the shutdown path only, whatever their method.
    pub fn shutdown_requests(&self) -> Vec<Request> {
        let path = self.shared.shutdown_path();
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// When it became ready: taken just before its port opens, so never too late.
    pub fn ready_at(&self) -> Option<Instant> {
        self.shared.ready_at()
    }

    /// Whether a shutdown was accepted.
    pub fn is_quit(&self) -> bool {
        self.shared.quit_at().is_some()
    }

    /// When the shutdown was accepted.
    pub fn quit_at(&self) -> Option<Instant> {
        self.shared.quit_at()
    }

    /// Waits until a shutdown was accepted; false when `timeout` passes first.
    pub fn wait_until_quit(&self, timeout: Duration) -> bool {
        self.shared.wait_for(timeout, |state| state.quit_at.is_some())
    }

    /// Waits until its ports are closed for good (after a linger, or [`Self::stop`]) and the answer to the
    /// shutdown is sent; false on timeout.
    pub fn wait_until_gone(&self, timeout: Duration) -> bool {
        self.shared.wait_for(timeout, |state| state.gone && state.unanswered == 0)
    }

    /// Calls `observer` with each request from now on, before it is answered.
    pub fn observe(&self, observer: impl Fn(&Request) + Send + Sync + 'static) {
        self.shared.observe(Box::new(observer));
    }

    /// Closes every port at once, as if the process had died.
    pub fn stop(&self) {
        self.shared.close();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
