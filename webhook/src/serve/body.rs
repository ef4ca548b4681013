//! Reading a body, and how much of them all is held at once.
//!
//! Whoever reaches the port may send bodies longer than any pod's, on every connection there is. The beginning of a body, which
//! is all there is of an ordinary pod's, is read without asking, so that nobody's long ones keep it out. For the rest a body
//! asks for room of its whole length at once, so that no two wait for each other; and only when its beginning has come, so that
//! nobody takes room by what they announce.

use super::{Limits, routes::Rejection};
use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// What bodies may still take; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    limits: Limits,
    /// A permit a byte of long bodies.
    long: Arc<Semaphore>,
}

/// A whole body. It takes its room until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

// === impl Room ===

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, long: Arc::new(Semaphore::new(limits.long_bytes)) }
    }

    /// The whole body, or why there is none and what is left of it.
    pub(super) async fn read(&self, mut body: Body) -> Result<Held, (Rejection, Option<Body>)> {
        match self.gather(&mut body).await {
            Ok(held) => Ok(held),
            // They may be sending still, and would see a reset in place of the answer.
            Err(rejection @ (Rejection::TooLarge(_) | Rejection::Busy(_))) => Err((rejection, Some(body))),
            Err(rejection) => Err((rejection, None)),
        }
    }

    async fn gather(&self, body: &mut Body) -> Result<Held, Rejection> {
        let Limits { body: patience, body_bytes: most, free_bytes, .. } = self.limits;
        let until = Instant::now() + patience;
        let hint = body.size_hint();
        // The length is announced by whoever is well-behaved; then nothing needs to be kept.
        if hint.lower() > most as u64 {
            return Err(Rejection::TooLarge(most));
        }
        let announced = hint.upper().and_then(|length| usize::try_from(length).ok());
        let length = announced.map_or(most, |length| length.min(most));

        let (mut bytes, mut room) = (Vec::with_capacity(length.min(free_bytes)), None);
        let late = |_| Rejection::Timeout(patience);
        while let Some(frame) = timeout_at(until, body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|error| Rejection::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let so_far = bytes.len() + data.len();
            if so_far > most {
                return Err(Rejection::TooLarge(most));
            }
            if so_far > free_bytes && room.is_none() {
                room = Some(self.take(length).await?);
                bytes.reserve_exact(length.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes, _room: room })
    }

    /// Room for a long body. What is longer than all there is takes all of it.
    async fn take(&self, length: usize) -> Result<OwnedSemaphorePermit, Rejection> {
        let Limits { room: patience, long_bytes, .. } = self.limits;
        let permits = u32::try_from(length.min(long_bytes)).unwrap_or(u32::MAX);
        let granted = timeout(patience, Arc::clone(&self.long).acquire_many_owned(permits)).await;
        // The semaphore is never closed.
        granted.ok().and_then(Result::ok).ok_or(Rejection::Busy(patience))
    }
}
