//! Telling proxies to quit, and seeing that they went.
//!
//! *Gone* means that the shutdown port refuses a connection. Refused before the sidecar was ever seen up means
//! *not yet*: a command may be faster than its proxy's start.

mod farewell;

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use farewell::Farewell;

use crate::{
    drive::{End, drive},
    endpoint::Endpoint,
    message::Message,
    signals::{Caught, Signals},
};

/// Those of wave one carry no traffic, so nothing drains and nothing has to be waited for.
const WAVE_ONE: Duration = Duration::from_secs(2);
const WAVE_TWO: Duration = Duration::from_secs(10);
/// For a sidecar that was never seen up, with [`Effort::Patient`]: dozens of times what the slowest known one takes to
/// listen, and two restarts of one that fails at first. Nobody waits for the reaper, and a sidecar missed stays for
/// ever; one that had ended by itself, unseen, costs its pod this minute.
const UNTIL_UP: Duration = Duration::from_secs(60);
/// For the one try of [`Effort::Once`].
const ONCE: Duration = Duration::from_millis(250);
/// For a look at a port on loopback, which takes or refuses a connection at once.
const LOOK: Duration = Duration::from_millis(100);

/// How much trouble to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Until it is gone, for as long as its wave may take.
    Bounded,
    /// The same, counted from when it is first seen up, and that is waited for.
    Patient,
    /// One short try: the pod is being deleted, and the kubelet tells the proxy as well.
    Once,
}

/// How a wave ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wave {
    /// Every sidecar is gone.
    Gone,
    /// One stays, or may; the message says which and why.
    Left,
    /// A fatal signal put an end to it.
    Interrupted,
}

/// A sidecar to quit.
pub(crate) struct Sidecar {
    endpoint: Endpoint,
    seen_up: bool,
}

/// Quits one wave after the other. `gone` tells of a sidecar that refuses, never seen up, whether somebody else did.
pub(crate) fn waves(
    signals: &Signals,
    waves: &[Vec<Sidecar>; 2],
    effort: Effort,
    gone: &dyn Fn() -> bool,
    message: &mut Message,
) -> Wave {
    let up_by = Instant::now() + UNTIL_UP;
    let mut all = Wave::Gone;
    for (sidecars, bound) in waves.iter().zip([WAVE_ONE, WAVE_TWO]) {
        let bound = if effort == Effort::Once { ONCE } else { bound };
        let patience = (effort == Effort::Patient).then_some(up_by);
        let farewell = |sidecar| Farewell::new(sidecar, effort == Effort::Once, bound, patience, gone);
        match wave(signals, sidecars.iter().map(farewell).collect(), message) {
            Wave::Gone => {}
            Wave::Left => all = Wave::Left,
            Wave::Interrupted => return Wave::Interrupted,
        }
    }
    all
}

/// Bids these farewell side by side; each keeps to its own time.
fn wave(signals: &Signals, mut farewells: Vec<Farewell<'_>>, message: &mut Message) -> Wave {
    let last = farewells.iter().map(Farewell::latest).max().unwrap_or_else(Instant::now);
    let end = drive(signals, &mut farewells, last, Caught::asks_to_leave);
    let mut wave = Wave::Gone;
    for (sidecar, trouble) in farewells.iter().filter_map(Farewell::regret) {
        wave = Wave::Left;
        match end {
            End::Signal(signal) => {
                message.note(format_args!("signal {signal} came before {sidecar} was gone"))
            }
            _ => message.note(format_args!("{sidecar} {trouble}, so that sidecar may stay")),
        }
    }
    if matches!(end, End::Signal(_)) { Wave::Interrupted } else { wave }
}

// === impl Sidecar ===

impl Sidecar {
    /// A sidecar not yet seen up.
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, seen_up: false }
    }

    /// One that may well not be there: whenever it refuses, it counts as gone.
    pub(crate) fn optional(endpoint: Endpoint) -> Self {
        Self { endpoint, seen_up: true }
    }

    /// Whether a port of its was ever seen open.
    pub(crate) fn was_up(&self) -> bool {
        self.seen_up
    }

    /// Up if one of `ready`, which have all answered, is on its port, or if that port takes a connection.
    pub(crate) fn look(&mut self, ready: &[Endpoint]) {
        let address = &self.endpoint.address;
        self.seen_up = self.seen_up
            || ready.iter().any(|ready| ready.address == *address)
            || TcpStream::connect_timeout(address, LOOK).is_ok();
    }
}
