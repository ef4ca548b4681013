//! The way from serving to the end of the process.

use std::io;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
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

/// A part of the server panicked. Without it the process would be ready and serve nothing, or a certificate that ends.
#[derive(Debug, thiserror::Error)]
#[error("a part of the server broke down, which is a mistake in Curfew: please report it ({0})")]
pub struct Broken(JoinError);

/// The tasks of the server. Dropped, they end.
pub(super) type Parts = JoinSet<Result<(), JoinError>>;

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

// === impl Broken ===

impl Broken {
    /// Waits until one of them breaks down; that they end is as it should be.
    pub(super) async fn of(parts: &mut Parts) -> Self {
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended.flatten() {
                return Self(error);
            }
        }
        std::future::pending().await
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test]
    async fn a_part_that_breaks_down_is_told_from_those_that_end() {
        let blocked = tokio::task::spawn_blocking(|| panic!("out of descriptors"));
        for broken in [async { panic!("out of descriptors") }.boxed(), blocked.boxed()] {
            let mut parts = Parts::new();
            parts.spawn(async { Ok(()) });
            parts.spawn(std::future::pending());
            parts.spawn(broken);
            let error = timeout(Duration::from_secs(20), Broken::of(&mut parts)).await;
            let error = error.expect("nobody noticed").to_string();
            assert!(error.contains("broke down") && error.contains("out of descriptors"), "{error}");
        }
    }
}
