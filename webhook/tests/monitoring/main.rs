//! What operators see: metrics, the dashboard and the alert rules, by the eyes of a real Prometheus and its `promtool`.

#![allow(clippy::unwrap_used, reason = "what cannot be done in a test fails it")]

mod alerts;
mod files;
mod names;
mod prometheus;
mod replica;
mod series;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Longer than anything here takes on a machine that is busy; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what must come true some time.
fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(100));
    }
}
