//! How a stand-in is put together.

use std::{io, net::IpAddr, time::Duration};

use super::{OnShutdown, Shape, StandIn, Unready, serve::Shared};

/// What a stand-in shall be; made by [`StandIn::linkerd`] and its siblings.
#[derive(Debug, Clone)]
#[must_use = "nothing listens before `start`"]
pub struct Builder {
    pub(super) shape: Shape,
    pub(super) address: IpAddr,
    pub(super) ready_port: u16,
    pub(super) shutdown_port: u16,
    pub(super) shared_port: bool,
    pub(super) ready_after: Option<Duration>,
    pub(super) unready: Unready,
    pub(super) on_shutdown: Vec<OnShutdown>,
}

// === impl Builder ===

impl Builder {
    /// The real ports, ready at once, closing with its answer.
    pub fn new(shape: Shape, address: IpAddr) -> Self {
        Self {
            shape,
            address,
            ready_port: shape.ready_port(),
            shutdown_port: shape.shutdown_port(),
            shared_port: shape.ready_port() == shape.shutdown_port(),
            ready_after: Some(Duration::ZERO),
            unready: Unready::default(),
            on_shutdown: vec![OnShutdown::Ok],
        }
    }

    /// Free ports instead of the real ones.
    pub fn any_port(self) -> Self {
        Self { ready_port: 0, shutdown_port: 0, ..self }
    }

    /// Another port for ready; for shutdown too, where the shape has one port for both.
    pub fn ready_port(mut self, port: u16) -> Self {
        self.ready_port = port;
        if self.shared_port {
            self.shutdown_port = port;
        }
        self
    }

    /// Another port for shutdown; for ready too, where the shape has one port for both.
    pub fn shutdown_port(mut self, port: u16) -> Self {
        self.shutdown_port = port;
        if self.shared_port {
            self.ready_port = port;
        }
        self
    }

    /// Ready so long after [`Self::start`].
    pub fn ready_after(self, delay: Duration) -> Self {
        Self { ready_after: Some(delay), ..self }
    }

    /// Never ready; with [`Unready::Closed`] nothing ever listens.
    pub fn never_ready(self) -> Self {
        Self { ready_after: None, ..self }
    }

    /// What it does until it is ready.
    pub fn unready(self, unready: Unready) -> Self {
        Self { unready, ..self }
    }

    /// What it does when told to quit, each time.
    pub fn on_shutdown(self, behaviour: OnShutdown) -> Self {
        Self { on_shutdown: vec![behaviour], ..self }
    }

    /// What it does the next time it is told to quit, and from then on: `on_shutdown(A).then(B)` is A once,
    /// then B.
    pub fn then(mut self, behaviour: OnShutdown) -> Self {
        self.on_shutdown.push(behaviour);
        self
    }

    /// Starts it. One that is ready at once (or answers before it is) listens when this returns.
    ///
    /// # Errors
    /// When a port cannot be had or a thread cannot be started.
    pub fn start(self) -> io::Result<StandIn> {
        Ok(StandIn { shared: Shared::start(self)? })
    }
}
