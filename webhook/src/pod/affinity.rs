//! What a pod's affinity says of its node, as far as it matters here.

use serde_json::Value;

/// The labels that tell a node's operating system.
pub(super) const OS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

const REQUIRED: &str = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// Whether it lets the pod on Windows nodes alone: one term is enough for a node, so each has to ask for Windows. An empty one
/// matches no node.
pub(super) fn asks_for_windows(affinity: &str) -> bool {
    let affinity: Value = serde_json::from_str(affinity).unwrap_or_default();
    let terms = affinity.pointer(REQUIRED).and_then(Value::as_array);
    let mut terms = terms.into_iter().flatten().filter(|term| !is_empty(term)).peekable();
    terms.peek().is_some() && terms.all(is_windows)
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn is_empty(term: &Value) -> bool {
    ["matchExpressions", "matchFields"].iter().all(|field| list(term, field).is_empty())
}

fn is_windows(term: &Value) -> bool {
    let asks = |expression: &Value| {
        let values = list(expression, "values");
        OS.iter().any(|label| expression["key"] == *label)
            && match expression["operator"].as_str() {
                Some("In") => !values.is_empty() && values.iter().all(|value| value == "windows"),
                Some("NotIn") => values.iter().any(|value| value == "linux"),
                _ => false,
            }
    };
    list(term, "matchExpressions").iter().any(asks)
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
        assert!(windows(&json!([term("kubernetes.io/os", "NotIn", &["linux"])])));
        assert!(windows(&json!([asks, {}, {"matchExpressions": []}])));
        assert!(!windows(&json!([{}, {"matchExpressions": []}])));
        assert!(!windows(
            &json!([asks, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}])
        ));
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
