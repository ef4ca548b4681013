//! What `/metrics` shows.
//!
//! Every label has few values by construction, but for the workload, which follows the catalogue: that one is capped.

use super::Facts;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Counters of the webhook; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    admissions: Family<Admission, Counter>,
    /// How many series `admissions` has, about: two threads may add the same one.
    series: Arc<AtomicUsize>,
    duration: Histogram,
    patch: Histogram,
    connections: Gauge,
    handshake_failures: Family<Reason, Counter>,
    rejected: Family<Reason, Counter>,
}

/// Counts a connection for as long as it lives.
#[must_use = "the connection counts until this is dropped"]
#[derive(Debug)]
pub(super) struct Connected(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Admission {
    workload: Cow<'static, str>,
    strategy: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Why a request may be rejected. Series begin at zero: one that begins with its first event hides that from `rate`.
const REJECTIONS: [&str; 10] = [
    "body_timeout",
    "broken_body",
    "busy",
    "content_type",
    "empty",
    "header_timeout",
    "method",
    "not_a_review",
    "path",
    "too_large",
];
/// Why a handshake may fail.
const HANDSHAKE_FAILURES: [&str; 5] = ["closed", "io", "protocol", "refused_by_client", "timeout"];

/// The one outcome somebody must look at, so its series begins at zero, too. Of such a pod nothing else is known.
const FAILED: Admission =
    Admission { workload: Cow::Borrowed("unknown"), strategy: "unknown", outcome: "failed" };

/// Some 20 workloads, 6 strategies and 4 outcomes are possible, most of them never together. Beyond this the
/// workload is called `other`.
const MOST_SERIES: usize = 500;

// === impl Metrics ===

impl Metrics {
    /// A registry with all of them at zero.
    pub fn new() -> Self {
        let admissions = Family::<Admission, Counter>::default();
        let (handshake_failures, rejected) = (Family::default(), Family::default());
        let connections = Gauge::default();
        // 50 us to 6.6 s: a review takes some 100 us, the apiserver gives up after 5 s.
        let duration = Histogram::new(exponential_buckets(50e-6, 2.0, 18));
        // 128 B to 64 KiB.
        let patch = Histogram::new(exponential_buckets(128.0, 2.0, 10));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);

        let mut registry = Registry::with_prefix("curfew");
        registry.register(
            "admissions",
            "Reviews answered, by kind of workload, strategy carried out and outcome",
            admissions.clone(),
        );
        registry.register_with_unit(
            "admission_duration",
            "Time from a review's last byte read to its answer made",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register_with_unit("patch", "Length of the patches sent", Unit::Bytes, patch.clone());
        registry.register("connections", "Connections open on the webhook's port", connections.clone());
        registry.register(
            "tls_handshake_failures",
            "Connections lost before their TLS handshake was done",
            handshake_failures.clone(),
        );
        registry.register("requests_rejected", "Requests that held no review to answer", rejected.clone());
        registry.register("build", "The version that runs", build);
        let zero = |family: &Family<Reason, Counter>, reasons: &[&'static str]| {
            for &reason in reasons {
                drop(family.get_or_create(&Reason { reason }));
            }
        };
        drop(admissions.get_or_create(&FAILED));
        zero(&rejected, &REJECTIONS);
        zero(&handshake_failures, &HANDSHAKE_FAILURES);
        let registry = Arc::new(Mutex::new(registry));
        let series = Arc::default();
        Self { registry, admissions, series, duration, patch, connections, handshake_failures, rejected }
    }

    /// Everything, in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry())?;
        Ok(page)
    }

    /// What is read at `/metrics`, for others to add theirs.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        // Nothing half done can be left in it: what is registered is registered in one statement.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn admitted(&self, facts: Facts, took: Duration) {
        let Facts { workload, strategy, outcome, patch_bytes } = facts;
        self.duration.observe(took.as_secs_f64());
        if patch_bytes > 0 {
            self.patch.observe(patch_bytes as f64);
        }
        let mut labels = Admission { workload, strategy, outcome };
        if let Some(known) = self.admissions.get(&labels) {
            known.inc();
            return;
        }
        if self.series.fetch_add(1, Relaxed) >= MOST_SERIES {
            labels.workload = "other".into();
        }
        self.admissions.get_or_create(&labels).inc();
    }

    pub(super) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Connected ===

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(workload: String, patch_bytes: usize) -> Facts {
        Facts { workload: workload.into(), strategy: "await", outcome: "patched", patch_bytes }
    }

    fn line<'a>(page: &'a str, start: &str) -> Option<&'a str> {
        page.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
    }

    #[test]
    fn names_follow_the_conventions() {
        let metrics = Metrics::new();
        metrics.admitted(facts("k6-runner".into(), 700), Duration::from_micros(90));
        metrics.rejected("method");
        metrics.handshake_failed("timeout");
        let connected = metrics.connected();
        let page = metrics.encode().unwrap();
        for (start, value) in [
            (r#"curfew_admissions_total{workload="k6-runner",strategy="await",outcome="patched"}"#, "1"),
            ("curfew_admission_duration_seconds_count", "1"),
            (r#"curfew_admission_duration_seconds_bucket{le="0.0001"}"#, "1"),
            ("curfew_patch_bytes_sum", "700.0"),
            ("curfew_connections", "1"),
            (r#"curfew_tls_handshake_failures_total{reason="timeout"}"#, "1"),
            (r#"curfew_requests_rejected_total{reason="method"}"#, "1"),
            (concat!(r#"curfew_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), "1"),
        ] {
            assert_eq!(line(&page, start), Some(value), "{start} in\n{page}");
        }
        drop(connected);
        assert_eq!(line(&metrics.encode().unwrap(), "curfew_connections "), Some("0"));
    }

    #[test]
    fn a_review_without_a_patch_is_no_patch_of_length_zero() {
        let metrics = Metrics::new();
        metrics.admitted(facts("job".into(), 0), Duration::ZERO);
        assert_eq!(line(&metrics.encode().unwrap(), "curfew_patch_bytes_count"), Some("0"));
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let metrics = Metrics::new();
        for number in 0..MOST_SERIES + 50 {
            metrics.admitted(facts(format!("workload-{number}"), 0), Duration::ZERO);
        }
        let page = metrics.encode().unwrap();
        let series = page.lines().filter(|line| line.starts_with("curfew_admissions_total")).count();
        // And `other`, and the one that begins at zero.
        assert_eq!(series, MOST_SERIES + 2);
        let other = r#"curfew_admissions_total{workload="other",strategy="await",outcome="patched"}"#;
        assert_eq!(line(&page, other), Some("50"));
    }
}
