//! Waiting until every proxy says that it is ready.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{
    drive::{End, Task, drive},
    endpoint::Endpoint,
    http::{Exchange, Outcome},
    signals::{Caught, Signals},
};

/// Between the beginnings of two tries, in the mean. Each takes 0.1 ms of processor time on a small machine: less than
/// a percent of a core, and a command that starts 6 ms after its proxy is ready in the median. To back off would be
/// cheaper and start it seconds late, just when proxies are slow anyway.
const INTERVAL: Duration = Duration::from_millis(11);
/// For one try. An admin port that needs longer than this is not one to be called ready.
const TRY: Duration = Duration::from_secs(1);

/// How the wait ended.
pub(crate) enum Verdict {
    /// All are ready.
    Ready,
    /// Time is up; what the others said last.
    Late(String),
    /// This signal ended it.
    Signal(i32),
}

/// Waits for all of `endpoints`.
pub(crate) fn wait(signals: &Signals, endpoints: &[Endpoint], timeout: Duration) -> Verdict {
    let now = Instant::now();
    let mut probes: Vec<_> = endpoints.iter().map(|endpoint| Probe::new(endpoint, now)).collect();
    // A timeout beyond the clock's range is no bound; a century is none either.
    let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(100 * 365 * 86_400));
    match drive(signals, &mut probes, deadline, Caught::is_fatal) {
        End::Done => Verdict::Ready,
        End::Signal(signal) => Verdict::Signal(signal),
        End::Late => {
            let late = probes.iter().filter(|probe| !probe.ready);
            let said = late.map(|probe| format!("{} {}", probe.endpoint, probe.said));
            Verdict::Late(said.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A quarter more or less, so that wrappers that start together do not ask in step for ever.
fn interval() -> Duration {
    // The clock's last digits are as good as dice for this, and need no generator.
    let dice = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos() % 1024);
    INTERVAL * 3 / 4 + INTERVAL / 2 * dice / 1024
}

struct Probe<'a> {
    endpoint: &'a Endpoint,
    exchange: Option<Exchange>,
    next: Instant,
    said: String,
    ready: bool,
}

// === impl Probe ===

impl<'a> Probe<'a> {
    fn new(endpoint: &'a Endpoint, now: Instant) -> Self {
        let said = "gave no answer in time".to_owned();
        Self { endpoint, exchange: None, next: now, said, ready: false }
    }

    fn judge(&mut self, outcome: Outcome) {
        self.exchange = None;
        self.ready = matches!(&outcome, Outcome::Answered(answer) if answer.status < 300);
        self.said = outcome.describe();
    }
}

impl Task for Probe<'_> {
    fn advance(&mut self, now: Instant) {
        if self.exchange.is_none() && now >= self.next {
            self.next = now + interval();
            match Exchange::begin(self.endpoint, self.endpoint.request("GET"), now + TRY) {
                Ok(exchange) => self.exchange = Some(exchange),
                Err(outcome) => self.judge(outcome),
            }
        }
        if let Some(outcome) = self.exchange.as_mut().and_then(|exchange| exchange.advance(now)) {
            self.judge(outcome);
        }
    }

    fn is_done(&self) -> bool {
        self.ready
    }

    fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_ref()
    }

    fn next(&self) -> Instant {
        self.next
    }
}
