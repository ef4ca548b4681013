//! Waiting for conditions, and how long that may take.

use std::{
    iter, thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::StandIn;

use super::runner;

/// More than anything here takes on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for a proxy's one request: who gives up in a moment may have left before the stand-in has read it.
pub fn asked_once(proxy: &StandIn) {
    eventually("the proxy was asked once", || (proxy.shutdown_requests().len() == 1).then_some(()));
}

/// What is told to leave does so within a second, or four where it is emulated. `leave` says how long it took; a busy
/// machine can only make that longer, so the best of three counts.
pub fn at_once(leave: impl FnMut() -> Duration) {
    let bound = Duration::from_secs(if runner().is_some() { 4 } else { 1 });
    assert!(iter::repeat_with(leave).take(3).any(|took| took < bound), "three times not within {bound:?}");
}
