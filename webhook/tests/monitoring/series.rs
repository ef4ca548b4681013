//! What a real Prometheus makes of a scrape, and of the expressions of dashboard and rules.

use std::collections::BTreeSet;

use crate::{
    files::{family, metrics, panels, rules},
    prometheus::Prometheus,
    replica::Replica,
};

/// What these replicas have no series of: without a cluster nothing is stuck, and no CA is kept.
const NEED_A_CLUSTER: [&str; 3] =
    ["curfew_stuck_pods", "curfew_certificate_not_after_seconds", "curfew_certificate_moves_total"];

#[test]
fn series_are_scraped_and_every_expression_finds_what_it_asks_for() {
    let (replica, cut_off) = (Replica::offline(), Replica::cut_off());
    for _ in 0..3 {
        replica.review();
    }
    replica.unreadable_review();
    replica.no_review();
    replica.distrust(&cut_off);
    let prometheus = Prometheus::start(&[replica.admin(), cut_off.admin()], "groups: []");
    for expression in [
        "count(curfew_build_info) == 2",
        r#"curfew_admissions_total{workload="k6-runner", outcome="patched"} == 3"#,
        r#"curfew_admissions_total{outcome="failed"} == 1"#,
        "curfew_admission_duration_seconds_count == 4",
        r#"curfew_admission_duration_seconds_bucket{le="+Inf"} == 4"#,
        "curfew_patch_bytes_count == 3",
        "curfew_patch_bytes_sum > 3000",
        r#"curfew_requests_rejected_total{reason="not_a_review"} == 1"#,
        r#"curfew_tls_handshake_failures_total{reason="refused_by_client"} == 1"#,
        "curfew_watch_synced == 0",
        "curfew_watch_errors_total > 0",
    ] {
        prometheus.comes_to(expression);
    }
    let names: BTreeSet<_> = prometheus.names().iter().map(|name| family(name).to_owned()).collect();
    // A rule that finds nothing is silent because all is well, or because it asks for what is not there.
    let asked = rules().into_iter().filter_map(|rule| Some(looked_at(&rule.expr)?.to_owned()));
    for expression in asked.chain(panels()) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            metrics(&expression).into_iter().partition(|metric| names.contains(metric));
        for metric in &unknown {
            assert!(
                NEED_A_CLUSTER.contains(&metric.as_str()),
                "nobody has {metric}, which {expression} asks for"
            );
        }
        match known.is_empty() {
            true => drop(prometheus.query(&expression).unwrap()),
            false => drop(prometheus.comes_to(&expression)),
        }
    }
    for rule in rules() {
        prometheus.query(&rule.expr).unwrap();
    }
}

/// What a rule compares with its threshold; none if it tells absence.
fn looked_at(expression: &str) -> Option<&str> {
    if expression.starts_with("absent(") {
        return None;
    }
    let place = [" > ", " < ", " == "].iter().find_map(|operator| expression.rfind(operator));
    Some(&expression[..place.unwrap_or_else(|| panic!("{expression} has no threshold"))])
}
