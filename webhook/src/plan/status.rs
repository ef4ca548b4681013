//! The annotation `curfew.dev/status`: what was decided and why, for whoever looks at the pod.

use serde_json::{Map, Value, json};

use super::Plan;

/// Renders it: one line of JSON, the same for the same plan. It does not tell the edits, which a second pass over
/// the patched pod no longer sees.
pub(super) fn render(plan: &Plan) -> String {
    let mut status = Map::new();
    let mut set = |key: &str, value: Value| status.insert(key.to_owned(), value);
    set("version", json!(env!("CARGO_PKG_VERSION")));
    set("strategy", json!(plan.strategy));
    set("reason", json!(plan.reason));
    set("workload", json!(plan.workload));
    set("containers", json!(plan.containers));
    if !plan.passed_over.is_empty() {
        set("passedOver", json!(plan.passed_over));
    }
    if !plan.prepared.is_empty() {
        set("prepared", json!(plan.prepared));
    }
    if !plan.warnings.is_empty() {
        set("warnings", json!(plan.warnings));
    }
    Value::Object(status).to_string()
}
