//! What a pod's affinity says of its node, as far as it matters here.

use serde_json::Value;

/// The labels that tell a node's operating system.
pub(super) const OS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

const REQUIRED: &str = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// Whether it lets the pod on Windows nodes alone: one term is enough for a node, so each has to ask for Windows.
pub(super) fn asks_for_windows(affinity: &str) -> bool {
    let affinity: Value = serde_json::from_str(affinity).unwrap_or_default();
    let terms = affinity.pointer(REQUIRED).and_then(Value::as_array);
    terms.is_some_and(|terms| !terms.is_empty() && terms.iter().all(is_windows))
}

fn is_windows(term: &Value) -> bool {
    let asks = |expression: &Value| {
        OS.iter().any(|label| expression["key"] == *label)
            && expression["operator"] == "In"
            && expression["values"]
                .as_array()
                .is_some_and(|values| !values.is_empty() && values.iter().all(|value| value == "windows"))
    };
    term["matchExpressions"].as_array().is_some_and(|expressions| expressions.iter().any(asks))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn windows(terms: &Value) -> bool {
        let required = json!({"nodeSelectorTerms": terms});
        let affinity =
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}).to_string();
        asks_for_windows(&affinity)
    }

    fn term(key: &str, operator: &str, values: &[&str]) -> Value {
        let zone = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]});
        json!({"matchExpressions": [zone, {"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn a_pod_asks_for_windows_where_every_term_does() {
        let asks = term("kubernetes.io/os", "In", &["windows"]);
        assert!(windows(&json!([asks])));
        assert!(windows(&json!([asks, term("beta.kubernetes.io/os", "In", &["windows"])])));
        assert!(!windows(&json!([asks, {"matchExpressions": []}])));
        assert!(!windows(&json!([asks, term("kubernetes.io/os", "In", &["linux"])])));
    }

    #[test]
    fn what_leaves_other_nodes_open_does_not_ask_for_windows() {
        for (operator, values) in [("In", &["windows", "linux"][..]), ("NotIn", &["windows"]), ("In", &[])] {
            assert!(!windows(&json!([term("kubernetes.io/os", operator, values)])), "{operator} {values:?}");
        }
        assert!(!windows(&json!([term("kubernetes.io/arch", "In", &["windows"])])));
        for affinity in ["null", "{}", "[]", r#"{"nodeAffinity": null}"#] {
            assert!(!asks_for_windows(affinity), "{affinity}");
        }
        assert!(!windows(&json!([])) && !windows(&Value::Null));
    }
}
