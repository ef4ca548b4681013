//! The alert rules, each by itself in `promtool`, and some of them in a real Prometheus.

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::{
    files::{RULES, root, rules, text},
    prometheus::{Prometheus, promtool},
    replica::Replica,
    until,
};

/// Where operators read on; the chart has a value for it.
const RUNBOOKS: &str = "https://github.com/curfew-dev/curfew/blob/main/docs/monitoring.md";
const TESTS: &str = "webhook/tests/monitoring/rules.test.yaml";

#[test]
fn every_alert_is_tried_both_ways_and_promtool_agrees() {
    let tests: Value = serde_saphyr::from_str(&text(TESTS)).unwrap();
    let tests = tests["tests"].as_array().unwrap().iter();
    let tried: Vec<_> = tests.flat_map(|test| test["promql_expr_test"].as_array().unwrap()).collect();
    for rule in rules() {
        let about = format!(r#"ALERTS{{alertname="{}", alertstate="firing"}}"#, rule.alert);
        let mine = tried.iter().filter(|test| test["expr"].as_str().unwrap().contains(&about));
        let fires: Vec<_> = mine.map(|test| !test["exp_samples"].as_array().unwrap().is_empty()).collect();
        for (way, what) in [(true, "fires"), (false, "does not fire")] {
            assert!(fires.contains(&way), "{TESTS} has no test in which {} {what}", rule.alert);
        }
    }
    for arguments in [["check", "rules", RULES], ["test", "rules", TESTS]] {
        let output = promtool(&root(), &arguments, "");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_alert_says_what_is_the_matter_and_where_to_read_on() {
    let page = text("docs/monitoring.md");
    for rule in rules() {
        let severity = &rule.labels["severity"];
        assert!(["critical", "warning"].iter().any(|known| severity == known), "{}: {severity}", rule.alert);
        for annotation in ["summary", "description"] {
            assert!(rule.annotations[annotation].is_string(), "{} has no {annotation}", rule.alert);
        }
        let runbook = format!("{RUNBOOKS}#{}", rule.alert.to_lowercase());
        assert_eq!(rule.annotations["runbook_url"], json!(runbook), "{}", rule.alert);
        assert!(page.contains(&format!("\n### {}\n", rule.alert)), "{runbook} is not there");
    }
}

#[test]
fn a_real_prometheus_fires_where_something_is_wrong_and_only_there() {
    let (replica, cut_off) = (Replica::offline(), Replica::cut_off());
    // Their time is tested above.
    let at_once = Regex::new(r"for: \d+m").unwrap();
    let rules = at_once.replace_all(&text(RULES), "for: 0s").into_owned();
    let prometheus = Prometheus::start(&[replica.admin(), cut_off.admin()], &rules);
    let not_synced = prometheus.fires("CurfewWatchNotSynced");
    about(&not_synced, cut_off.admin());
    // Both were scraped by now, with zeros; all else is well.
    prometheus.comes_to("count(curfew_build_info) == 2");
    replica.review();
    prometheus.comes_to("sum(curfew_admissions_total) == 1");
    // Nothing was scraped at first, of which an alert may tell until its rules are evaluated again.
    until("nothing else fires", || {
        let firing = prometheus.firing();
        firing.iter().all(|alert| alert["labels"]["alertname"] == "CurfewWatchNotSynced").then_some(())
    });

    replica.unreadable_review();
    replica.no_review();
    replica.distrust(&cut_off);
    replica.plain_http();
    let failed = prometheus.fires("CurfewAdmissionsFailed");
    about(&failed, replica.admin());
    let rejected = prometheus.fires("CurfewRequestsRejected");
    about(&rejected, replica.admin());
    assert_eq!(rejected["labels"]["reason"], "not_a_review");
    let refused = prometheus.fires("CurfewHandshakesRefused");
    about(&refused, replica.admin());
    assert_eq!(refused["labels"]["severity"], "critical");
    // Whoever finds the port can do that, and nobody is to be woken for it.
    let plain = prometheus.fires("CurfewHandshakesFail");
    about(&plain, replica.admin());
    assert_eq!(
        (&plain["labels"]["reason"], &plain["labels"]["severity"]),
        (&json!("protocol"), &json!("warning"))
    );

    drop((replica, cut_off));
    let absent = prometheus.fires("CurfewAbsent");
    assert_eq!(absent["labels"]["severity"], "critical");
}

/// It names the replica, and its text came out as it was meant.
fn about(alert: &Value, replica: &str) {
    assert_eq!(alert["labels"]["instance"], replica);
    let description = alert["annotations"]["description"].as_str().unwrap();
    assert!(description.contains(replica) && !description.contains("error expanding"), "{description}");
}
