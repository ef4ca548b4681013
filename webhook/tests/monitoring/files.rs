//! The dashboard, the rules and the list of metrics, as they are in the repository.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

/// The rules, as far as they matter here.
#[derive(Deserialize)]
pub(crate) struct Rules {
    pub(crate) groups: Vec<Group>,
}

#[derive(Deserialize)]
pub(crate) struct Group {
    pub(crate) rules: Vec<Rule>,
}

#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) alert: String,
    pub(crate) expr: String,
    pub(crate) labels: Value,
    pub(crate) annotations: Value,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) const RULES: &str = "manifests/chart/files/rules.yaml";
pub(crate) const DASHBOARD: &str = "manifests/chart/files/dashboard.json";

/// Every rule.
pub(crate) fn rules() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&text(RULES)).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Every expression of the dashboard, with the interval Grafana would put in.
pub(crate) fn panels() -> Vec<String> {
    let board: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "1m")).collect()
}

/// The metrics `docs/configuration.md` lists.
pub(crate) fn documented() -> BTreeSet<String> {
    let row = Regex::new(r"(?m)^\| `(curfew_\w+)`").unwrap();
    row.captures_iter(&text("docs/configuration.md")).map(|found| found[1].to_owned()).collect()
}

/// The metrics an expression is about; a histogram's by the one name of its three.
pub(crate) fn metrics(expression: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\bcurfew_\w+").unwrap();
    name.find_iter(expression).map(|found| family(found.as_str()).to_owned()).collect()
}

/// The histogram a series belongs to; other series go by their own name.
pub(crate) fn family(series: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series)
}
