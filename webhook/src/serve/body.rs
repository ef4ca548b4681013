//! Reading a body, and how many are held at once.
//!
//! Whoever reaches the port may send what is as long as no pod, on as many connections as there are. The beginning of a body,
//! which is all there is of an ordinary pod's, is read without asking, so that nobody's long ones keep it out. For the rest
//! a body asks for room of its whole length, at once, so that no two wait for each other, and not before its beginning has come,
//! so that nobody takes room by what they only announce. What a review takes is many times its body, so it has to ask for room
//! of its own, for a time that no client can draw out.

use super::{Limits, routes::Rejection};
use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use std::{future::Future, sync::Arc};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// What bodies may still take; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Room {
    limits: Limits,
    /// A permit a byte of long bodies.
    long: Arc<Semaphore>,
    /// A permit a byte of bodies under review.
    review: Arc<Semaphore>,
}

/// A whole body. It takes its room until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    /// When its last byte was read.
    pub(super) since: Instant,
    _long: Option<OwnedSemaphorePermit>,
    _review: OwnedSemaphorePermit,
}

// === impl Room ===

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        let room = |bytes| Arc::new(Semaphore::new(bytes));
        Self { limits, long: room(limits.long_bytes), review: room(limits.review_bytes) }
    }

    /// The whole body with room for its review, or why there is none and what is left of it.
    pub(super) async fn read(&self, mut body: Body) -> Result<Held, (Rejection, Option<Body>)> {
        match self.gather(&mut body).await {
            Ok(held) => Ok(held),
            // They may be sending still, and would see a reset in place of the answer.
            Err(rejection @ (Rejection::TooLarge(_) | Rejection::Busy(_))) => Err((rejection, Some(body))),
            Err(rejection) => Err((rejection, None)),
        }
    }

    async fn gather(&self, body: &mut Body) -> Result<Held, Rejection> {
        let Limits { body: patience, body_bytes: most, free_bytes, long_bytes, review_bytes, .. } =
            self.limits;
        let until = Instant::now() + patience;
        let hint = body.size_hint();
        // The length is announced by whoever is well-behaved; then nothing needs to be kept.
        if hint.lower() > most as u64 {
            return Err(Rejection::TooLarge(most));
        }
        let length =
            hint.upper().and_then(|length| usize::try_from(length).ok()).map_or(most, |it| it.min(most));

        let (mut bytes, mut long) = (Vec::with_capacity(length.min(free_bytes)), None);
        while let Some(frame) = in_time(until, body.frame()).await.ok_or(Rejection::Timeout(patience))? {
            let frame = frame.map_err(|error| Rejection::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let so_far = bytes.len() + data.len();
            if so_far > most {
                return Err(Rejection::TooLarge(most));
            }
            if so_far > free_bytes && long.is_none() {
                let granted = in_time(until, grant(&self.long, length.min(long_bytes))).await.flatten();
                long = Some(granted.ok_or(Rejection::Busy(patience))?);
                bytes.reserve_exact(length.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&data);
        }
        let since = Instant::now();
        // What is longer than all of the room takes all of it.
        let share = bytes.len().min(review_bytes);
        let review = in_time(until, grant(&self.review, share)).await.flatten();
        let review = review.ok_or(Rejection::Busy(patience))?;
        Ok(Held { bytes, since, _long: long, _review: review })
    }
}

/// Never none: these semaphores are not closed, and no room is larger than their permits can be counted.
async fn grant(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(room).acquire_many_owned(u32::try_from(bytes).ok()?).await.ok()
}

async fn in_time<T>(until: Instant, what: impl Future<Output = T>) -> Option<T> {
    timeout_at(until, what).await.ok()
}
