//! The annotation `curfew.dev/status`: what was decided and why, for whoever looks at the pod.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Plan, Strategy};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    version: &'static str,
    strategy: Strategy,
    reason: &'a str,
    workload: &'a str,
    containers: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    passed_over: &'a BTreeMap<Strategy, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    prepared: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// Renders it: one line of JSON, the same for the same plan. It does not tell the edits, which a second pass over
/// the patched pod no longer sees.
pub(super) fn render(plan: &Plan) -> String {
    let Plan { strategy, reason, workload, containers, passed_over, warnings, prepared, notes, edits: _ } =
        plan;
    let version = env!("CARGO_PKG_VERSION");
    let strategy = *strategy;
    let status =
        Status { version, strategy, reason, workload, containers, passed_over, prepared, notes, warnings };
    // Strings and maps of strings always serialise.
    serde_json::to_string(&status).unwrap_or_default()
}
