//! Telling proxies to quit, and seeing that they went.
//!
//! *Gone* means that the shutdown port refuses a connection. Refused before the sidecar was ever seen up means
//! *not yet*: a command may be faster than its proxy's start.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    drive::{End, Task, drive},
    endpoint::Endpoint,
    http::{Answer, Exchange, Outcome},
    message::Message,
    signals::{Caught, Signals},
};

/// For one try, within the wave's bound.
const TRY: Duration = Duration::from_secs(2);
/// Between two tries, and the longest between two looks at whether it is gone.
const PAUSE: Duration = Duration::from_millis(100);
/// The first look at whether it is gone comes at once, the second after this; each pause is twice the last.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// For a look at a port on loopback, which takes or refuses a connection at once.
const LOOK: Duration = Duration::from_millis(100);

/// How much trouble to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Until it is gone, for as long as this at most.
    Within(Duration),
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

/// Quits `sidecars` side by side.
pub(crate) fn wave(signals: &Signals, sidecars: &[Sidecar], effort: Effort, message: &mut Message) -> Wave {
    let now = Instant::now();
    let deadline = now
        + match effort {
            Effort::Within(bound) => bound,
            Effort::Once => Duration::from_millis(250),
        };
    let farewell = |sidecar| Farewell::new(sidecar, effort == Effort::Once, now, deadline);
    let mut farewells: Vec<_> = sidecars.iter().map(farewell).collect();
    let end = drive(signals, &mut farewells, deadline, Caught::asks_to_leave);
    let mut wave = Wave::Gone;
    for Farewell { sidecar, trouble, .. } in
        farewells.iter().filter(|farewell| farewell.fate != Some(Fate::Gone))
    {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Gone,
    Stays,
}

/// One sidecar on its way out.
struct Farewell<'a> {
    sidecar: &'a Endpoint,
    once: bool,
    deadline: Instant,
    seen_up: bool,
    /// One try has come to an end.
    tried: bool,
    /// It answered that it will go; from then on it is only looked at.
    told: bool,
    exchange: Option<Exchange>,
    next: Instant,
    pause: Duration,
    trouble: String,
    fate: Option<Fate>,
}

// === impl Sidecar ===

impl Sidecar {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, seen_up: false }
    }

    /// Up if one of `ready`, which have all answered, is on its port, or if that port takes a connection.
    pub(crate) fn look(&mut self, ready: &[Endpoint]) {
        let address = &self.endpoint.address;
        self.seen_up = ready.iter().any(|ready| ready.address == *address)
            || TcpStream::connect_timeout(address, LOOK).is_ok();
    }
}

// === impl Farewell ===

impl<'a> Farewell<'a> {
    fn new(sidecar: &'a Sidecar, once: bool, now: Instant, deadline: Instant) -> Self {
        Self {
            sidecar: &sidecar.endpoint,
            once,
            deadline,
            seen_up: sidecar.seen_up,
            tried: false,
            told: false,
            exchange: None,
            next: now,
            pause: FIRST_LOOK,
            trouble: "gave no answer in time".to_owned(),
            fate: None,
        }
    }

    fn begin(&mut self, now: Instant) {
        let request = if self.told { Vec::new() } else { self.sidecar.request("POST") };
        match Exchange::begin(self.sidecar, request, self.deadline.min(now + TRY)) {
            Ok(exchange) => self.exchange = Some(exchange),
            Err(outcome) => self.judge(outcome, now),
        }
    }

    fn judge(&mut self, outcome: Outcome, now: Instant) {
        self.exchange = None;
        self.next = now + PAUSE;
        match &outcome {
            Outcome::Refused if self.seen_up => return self.fate = Some(Fate::Gone),
            Outcome::Listening => {
                self.next = now + self.pause;
                self.pause = PAUSE.min(self.pause * 2);
                return;
            }
            Outcome::Answered(Answer { status: 200..300, .. }) => {
                self.seen_up = true;
                self.told = true;
                self.next = now;
                self.fate = self.once.then_some(Fate::Gone);
                self.trouble = format!("{} but its port stays open", outcome.describe());
                return;
            }
            Outcome::Answered(answer) => {
                self.seen_up = true;
                // A server's error may pass. Anything else is what this endpoint always says.
                self.fate = (answer.status < 500).then_some(Fate::Stays);
            }
            // Told and no longer accepting: on its way, and its port has to close yet.
            Outcome::Failed { .. } if self.told => return,
            // Cut short by the end of the wave: what the try before had to say is the better reason.
            Outcome::Failed { .. } if self.tried && now >= self.deadline => return,
            Outcome::Failed { connected, .. } => self.seen_up |= connected,
            Outcome::Refused => {}
        }
        self.tried = true;
        self.trouble = format!("{}{}", outcome.describe(), mend(self.sidecar, &outcome));
        if self.once {
            self.fate = Some(Fate::Stays);
        }
    }
}

impl Task for Farewell<'_> {
    fn advance(&mut self, now: Instant) {
        // A look at a closed port ends at once, so this goes round twice at most for an answer that came in.
        while self.fate.is_none() {
            if let Some(exchange) = &mut self.exchange {
                match exchange.advance(now) {
                    Some(outcome) => self.judge(outcome, now),
                    None => return,
                }
            } else if now >= self.next && now < self.deadline {
                self.begin(now);
            } else {
                return;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.fate.is_some()
    }

    fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    fn next(&self) -> Instant {
        self.next
    }
}

/// What would help, where that is known.
fn mend(sidecar: &Endpoint, outcome: &Outcome) -> &'static str {
    let Outcome::Answered(answer) = outcome else { return "" };
    match (answer.status, sidecar.path.as_str()) {
        (404, "/shutdown") => " (Linkerd: annotate the pod config.linkerd.io/proxy-admin-shutdown: enabled)",
        (404, _) => " (no shutdown endpoint there: check the port and the path)",
        (403, _) => " (it takes this from its own pod's loopback only: check the port)",
        (405, _) => " (it wants another method: METHOD=URL)",
        _ => "",
    }
}
