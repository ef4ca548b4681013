//! How much one client may take, and for how long.

use std::time::Duration;

/// The limits of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted connection to the end of its TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request's head (or the end of the handshake) to its last.
    pub header: Duration,
    /// From the end of the head to the end of the body.
    pub body: Duration,
    /// For how long a long body waits for room among the others.
    pub room: Duration,
    /// How long a connection may rest between two requests, or leave an answer unread.
    pub idle: Duration,
    /// The longest body.
    pub body_bytes: usize,
    /// How much of each body is read without asking; what is longer is a long one.
    pub free_bytes: usize,
    /// The length of all long bodies held at once; more wait.
    pub long_bytes: usize,
    /// How many connections are open at once; more wait in the kernel's backlog.
    pub connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A handshake is two round trips and one signature; the apiserver gives the whole call 5 s by our
            // configuration, so whoever needs longer has no use for an answer.
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(2),
            body: Duration::from_secs(5),
            // Well within the apiserver's 5 s, so that it hears of it.
            room: Duration::from_secs(2),
            // Longer than the 90 s after which Go's client, which the apiserver uses, lets go of an idle connection:
            // the side that sends next must be the one that closes, or a review is lost on its way.
            idle: Duration::from_secs(120),
            // etcd takes pods of up to 1.5 MiB. The apiserver writes each of <, > and & in six characters, and puts an
            // envelope around it; there is no predecessor, as it asks about pods that are created.
            body_bytes: 4 * 1024 * 1024,
            // A k6 runner with Istio's sidecar has 6 KiB.
            free_bytes: 32 * 1024,
            long_bytes: 16 * 1024 * 1024,
            connections: 1024,
        }
    }
}
