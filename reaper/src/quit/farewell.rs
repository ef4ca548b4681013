//! One sidecar on its way out.

use std::time::{Duration, Instant};

use super::Sidecar;
use crate::{
    drive::Task,
    endpoint::Endpoint,
    http::{Answer, Exchange, Outcome},
};

/// For one try, within the wave's bound.
const TRY: Duration = Duration::from_secs(2);
/// Between two tries, and the longest between two looks at whether it is gone.
const PAUSE: Duration = Duration::from_millis(100);
/// The first look at whether it is gone comes at once, the second after this; each pause is twice the last.
const FIRST_LOOK: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Gone,
    Stays,
}

/// One sidecar on its way out.
pub(super) struct Farewell<'a> {
    sidecar: &'a Endpoint,
    once: bool,
    bound: Duration,
    deadline: Instant,
    /// The bound counts from when it is seen up.
    patient: bool,
    seen_up: bool,
    gone: &'a dyn Fn() -> bool,
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

// === impl Farewell ===

impl<'a> Farewell<'a> {
    /// With `up_by` a sidecar not seen up has until then to come up.
    pub(super) fn new(
        sidecar: &'a Sidecar,
        once: bool,
        bound: Duration,
        up_by: Option<Instant>,
        gone: &'a dyn Fn() -> bool,
    ) -> Self {
        let now = Instant::now();
        let up_by = up_by.filter(|_| !sidecar.seen_up);
        Self {
            sidecar: &sidecar.endpoint,
            once,
            bound,
            deadline: up_by.map_or(now + bound, |up_by| up_by.max(now + bound)),
            patient: up_by.is_some(),
            seen_up: sidecar.seen_up,
            gone,
            tried: false,
            told: false,
            exchange: None,
            next: now,
            pause: FIRST_LOOK,
            trouble: "gave no answer in time".to_owned(),
            fate: None,
        }
    }

    /// By when it is over whatever happens.
    pub(super) fn latest(&self) -> Instant {
        if self.patient { self.deadline + self.bound } else { self.deadline }
    }

    /// The sidecar and why it is not gone, if it is not.
    pub(super) fn regret(&self) -> Option<(&Endpoint, &str)> {
        (self.fate != Some(Fate::Gone)).then_some((self.sidecar, &self.trouble))
    }

    fn came_up(&mut self, now: Instant) {
        if self.patient && !self.seen_up {
            self.deadline = now + self.bound;
        }
        self.seen_up = true;
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
            Outcome::Refused if self.seen_up || (self.gone)() => return self.fate = Some(Fate::Gone),
            Outcome::Listening => {
                self.next = now + self.pause;
                self.pause = PAUSE.min(self.pause * 2);
                return;
            }
            Outcome::Answered(Answer { status: 200..300, .. }) => {
                self.told = true;
                self.next = now;
                self.fate = self.once.then_some(Fate::Gone);
                self.trouble = format!("{} but its port stays open", outcome.describe());
                return;
            }
            // A server's error may pass. Anything else is what this endpoint always says.
            Outcome::Answered(answer) => self.fate = (answer.status < 500).then_some(Fate::Stays),
            // Told and no longer accepting: on its way, and its port has to close yet.
            Outcome::Failed(_) if self.told => return,
            // Cut short by the end of the wave: what the try before had to say is the better reason.
            Outcome::Failed(_) if self.tried && now >= self.deadline => return,
            Outcome::Failed(_) | Outcome::Refused => {}
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
                let outcome = exchange.advance(now);
                if exchange.is_connected() {
                    self.came_up(now);
                }
                match outcome {
                    Some(outcome) => self.judge(outcome, now),
                    None => return,
                }
            } else if now >= self.deadline {
                self.fate = Some(Fate::Stays);
            } else if now >= self.next {
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustix::{
        fd::OwnedFd,
        net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with},
    };

    use super::*;

    const BOUND: Duration = Duration::from_secs(2);
    const MINUTE: Duration = Duration::from_secs(60);

    /// A sidecar where nobody listens, for as long as the socket is kept, which has its port and never listens.
    fn absent() -> (Sidecar, OwnedFd) {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address =
            SocketAddr::try_from(getsockname(&socket).expect("its address")).expect("an IP address");
        (Sidecar::new(format!("http://{address}/quit").parse().expect("an endpoint")), socket)
    }

    #[test]
    fn with_patience_one_that_never_came_up_is_waited_for_a_minute_not_its_waves_time() {
        let ((sidecar, _port), now) = (absent(), Instant::now());
        let mut patient = Farewell::new(&sidecar, false, BOUND, Some(now + MINUTE), &|| false);
        let mut bounded = Farewell::new(&sidecar, false, BOUND, None, &|| false);
        patient.advance(now + BOUND * 2);
        bounded.advance(now + BOUND * 2);
        assert_eq!((patient.fate, bounded.fate), (None, Some(Fate::Stays)));
        patient.advance(now + MINUTE - BOUND);
        assert_eq!(patient.fate, None);
        patient.advance(now + MINUTE);
        assert_eq!(patient.regret().map(|(_, trouble)| trouble), Some("refused the connection"));
    }

    #[test]
    fn with_patience_its_waves_time_counts_from_when_it_came_up() {
        let ((sidecar, _port), now) = (absent(), Instant::now());
        let mut farewell = Farewell::new(&sidecar, false, BOUND, Some(now + MINUTE), &|| false);
        let up = now + MINUTE / 2;
        farewell.came_up(up);
        farewell.came_up(up + BOUND / 2);
        assert_eq!(farewell.deadline, up + BOUND);
        assert!(farewell.deadline <= farewell.latest());
    }

    #[test]
    fn a_refusal_is_gone_if_somebody_saw_it_go_and_at_once_if_it_was_up() {
        for (seen_up, told) in [(true, false), (false, true)] {
            let (absent, _port) = absent();
            let sidecar = Sidecar { seen_up, ..absent };
            let now = Instant::now();
            let gone = || told;
            let mut farewell = Farewell::new(&sidecar, false, BOUND, Some(now + MINUTE), &gone);
            farewell.advance(Instant::now());
            assert_eq!(farewell.fate, Some(Fate::Gone));
        }
    }
}
