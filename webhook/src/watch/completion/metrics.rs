//! What the watch counts.

use std::time::{Duration, SystemTime};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    ledger::Ledger,
    request::{Answer, EVENTS, GIVEN_UP, MARKS},
    task::{Mark, Settled, Word},
};

/// Counters of the watch; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pods: Gauge,
    synced: Gauge,
    errors: Counter,
    patches: Family<Outcome, Counter>,
    delay: Histogram,
    events: Family<Said, Counter>,
    stuck: Family<Stuck, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Said {
    reason: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stuck {
    strategy: &'static str,
    reason: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// All of them, where they can be read.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            pods: Gauge::default(),
            synced: Gauge::default(),
            errors: Counter::default(),
            patches: Family::default(),
            // 0.25 s to 512 s: containers' ends are told to the second.
            delay: Histogram::new(exponential_buckets(0.25, 2.0, 12)),
            events: Family::default(),
            stuck: Family::default(),
        };
        registry.register("watched_pods", "Running pods the watch looks after", metrics.pods.clone());
        registry.register(
            "watch_synced",
            "Whether all pods were listed and are being followed since",
            metrics.synced.clone(),
        );
        registry.register("watch_errors", "Breaks of the watch of pods", metrics.errors.clone());
        registry.register(
            "done_patches",
            "Requests to tell a pod's reaper that its mains are done, by outcome",
            metrics.patches.clone(),
        );
        registry.register_with_unit(
            "done_delay",
            "Time from the end of a pod's last main, by its node's clock and to the second, to the patch",
            Unit::Seconds,
            metrics.delay.clone(),
        );
        registry.register("events", "Events about pods, by reason and outcome", metrics.events.clone());
        registry.register(
            "stuck_pods",
            "Pods whose mains ended over a minute ago and whose sidecars still run; each replica counts all of them",
            metrics.stuck.clone(),
        );
        for outcome in MARKS {
            drop(metrics.patches.get_or_create(&Outcome { outcome }));
        }
        for reason in ["SidecarStuck", "LeftAlone", "PassedOver"] {
            for outcome in EVENTS {
                drop(metrics.events.get_or_create(&Said { reason, outcome }));
            }
        }
        metrics
    }

    /// All pods are known, or not any more.
    pub(super) fn synced(&self, is: bool) {
        self.synced.set(is.into());
    }

    pub(super) fn broke(&self) {
        self.errors.inc();
    }

    /// Brings the gauges up to date.
    pub(super) fn look(&self, ledger: &Ledger) {
        self.pods.set(i64::try_from(ledger.len()).unwrap_or(i64::MAX));
        for (&(strategy, reason), &pods) in ledger.stuck() {
            self.stuck.get_or_create(&Stuck { strategy, reason }).set(pods);
        }
    }

    pub(super) fn marked(&self, mark: &Mark, answer: &Answer) {
        self.patches.get_or_create(&Outcome { outcome: answer.outcome }).inc();
        if let (Settled::Done, false, Some(finished)) = (answer.settled, mark.again, mark.finished) {
            // A clock that is ahead counts as none at all.
            let delay = SystemTime::now().duration_since(finished).unwrap_or(Duration::ZERO);
            self.delay.observe(delay.as_secs_f64());
        }
    }

    pub(super) fn said(&self, word: &Word, answer: &Answer, is_given_up: bool) {
        let outcomes = [Some(answer.outcome), is_given_up.then_some(GIVEN_UP)];
        for outcome in outcomes.into_iter().flatten() {
            self.events.get_or_create(&Said { reason: word.about.reason(), outcome }).inc();
        }
    }
}
