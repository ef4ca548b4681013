//! The alert rules: a file of Prometheus' own, which the chart fills in.

use std::fs;

use curfew_chart::{chart, helm, parse};
use serde_json::Value;

use crate::rendered::one;

/// The groups the chart renders into a namespace, with these values.
fn groups(namespace: &str, values: &[&str]) -> Value {
    let chart = chart().display().to_string();
    let of_all =
        ["template", "curfew", &chart, "--namespace", namespace, "--set", "metrics.rules.enabled=true"];
    let text = helm(of_all.into_iter().chain(values.iter().flat_map(|value| ["--set", value]))).unwrap();
    one(&parse(&text).unwrap(), "PrometheusRule", "curfew")["spec"]["groups"].clone()
}

fn annotations(groups: &Value) -> Vec<&Value> {
    let rules = groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| &rule["annotations"]).collect()
}

#[test]
fn the_default_is_the_file_with_what_prometheus_fills_in_itself() {
    let file = fs::read_to_string(chart().join("files/rules.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    assert_eq!(groups("curfew", &[]), file["groups"]);
    assert!(file.to_string().contains("{{ $labels.instance }}"));
}

#[test]
fn texts_name_the_namespace_the_timeout_and_the_runbooks_of_this_installation() {
    let runbooks = "https://wiki.example/curfew/alerts";
    let groups =
        groups("elsewhere", &["webhook.timeoutSeconds=9", &format!("metrics.rules.runbookUrl={runbooks}")]);
    let text = groups.to_string();
    for (there, gone) in [("-n elsewhere", "-n curfew"), ("after 9 s", "after 5 s"), (runbooks, "github.com")]
    {
        assert!(text.contains(there) && !text.contains(gone), "{there}, not {gone}: {text}");
    }
    for annotation in annotations(&groups) {
        let url = annotation["runbook_url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{runbooks}#curfew")), "{url}");
    }
}
