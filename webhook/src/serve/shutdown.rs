//! The way from serving to the end of the process.

use std::io;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

/// How far the end has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Business as usual.
    Serving,
    /// Not ready any more, but answering, until nobody sends us anything new.
    Draining,
    /// No new connections; those that stand finish what they are at.
    Closing,
    /// Out of time.
    Cut,
}

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection was finished.
    Drained,
    /// This many connections were cut when time was up.
    Cut(usize),
    /// A second signal came.
    Aborted,
}

/// The requests to end: the first drains, the second aborts.
#[derive(Debug)]
pub struct Signals {
    names_rx: mpsc::UnboundedReceiver<&'static str>,
}

// === impl Phase ===

impl Phase {
    /// Returns once the server has come as far as `self`, or is gone.
    pub(super) async fn reached(self, phase: &mut watch::Receiver<Self>) {
        // An error means that the sender is gone, and with it the server.
        let _ = phase.wait_for(|now| *now >= self).await;
    }
}

// === impl Signals ===

impl Signals {
    /// SIGTERM and SIGINT of this process. Must be called within a runtime.
    pub fn of_this_process() -> io::Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (names_tx, signals) = Self::by_hand();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = interrupt.recv() => "SIGINT",
                    else => break,
                };
                if names_tx.send(name).is_err() {
                    break;
                }
            }
        });
        Ok(signals)
    }

    /// Signals that are whatever comes through the sender.
    pub fn by_hand() -> (mpsc::UnboundedSender<&'static str>, Self) {
        let (names_tx, names_rx) = mpsc::unbounded_channel();
        (names_tx, Self { names_rx })
    }

    /// The next one. Without a sender there is none, ever.
    pub(super) async fn next(&mut self) -> &'static str {
        match self.names_rx.recv().await {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }
}
