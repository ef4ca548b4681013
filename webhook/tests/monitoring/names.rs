//! The names of metrics: after Prometheus's conventions, and none that is not documented.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    files::{DASHBOARD, documented, family, metrics, panels, root, rules, text},
    prometheus::promtool,
    replica::Replica,
};

#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let replica = Replica::cut_off();
    replica.review();
    let page = prometheus_text(&replica.page());
    assert!(
        page.contains("# TYPE curfew_admissions_total counter") && page.contains("curfew_watch_synced 0"),
        "{page}"
    );
    let output = promtool(&root(), &["check", "metrics"], &page);
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
    // It does find something in what is wrong.
    let wrong = page.replace("curfew_admissions_total", "curfew_admissions");
    assert!(!promtool(&root(), &["check", "metrics"], &wrong).status.success());
}

#[test]
fn what_is_shown_is_documented() {
    let replica = Replica::cut_off();
    replica.review();
    let (page, documented) = (replica.page(), documented());
    let series = page.lines().filter(|line| !line.starts_with('#'));
    for name in series.filter_map(|line| line.split(['{', ' ']).next()) {
        assert!(documented.contains(family(name)), "docs/configuration.md has no row for {name}");
    }
}

#[test]
fn dashboard_and_rules_ask_for_documented_metrics_and_every_metric_has_a_panel() {
    let documented = documented();
    let rules: Vec<_> = rules().into_iter().map(|rule| rule.expr).collect();
    let panels = panels();
    for expression in rules.iter().chain(&panels) {
        let metrics = metrics(expression);
        assert!(!metrics.is_empty() && metrics.is_subset(&documented), "{expression}");
    }
    let shown = panels.iter().flat_map(|expression| metrics(expression)).collect();
    let missing: Vec<_> = documented.difference(&shown).collect();
    assert!(missing.is_empty(), "no panel of {DASHBOARD} shows {missing:?}");
}

#[test]
fn the_dashboard_takes_the_data_source_that_is_chosen() {
    let board: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    assert_eq!(board["templating"]["list"][0]["name"], "datasource");
    let panels = board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        for user in targets.iter().chain([panel]) {
            assert_eq!(
                user["datasource"],
                json!({"type": "prometheus", "uid": "${datasource}"}),
                "{}",
                panel["title"]
            );
        }
        assert!(panel["description"].is_string(), "{}", panel["title"]);
    }
}

/// The page as `promtool check metrics` reads it, which knows OpenMetrics not: there the type of a counter stands without
/// `_total`, and an info is a type.
fn prometheus_text(page: &str) -> String {
    let types: HashMap<_, _> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut text = String::new();
    for line in page.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) => {
                let end = match types.get(name) {
                    Some(&"counter") => "_total",
                    Some(&"info") => "_info",
                    _ => "",
                };
                let rest = if rest == "info" { "gauge" } else { rest };
                format!("# {what} {name}{end} {rest}")
            }
            _ => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}
