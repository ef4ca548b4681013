//! Whether Curfew is asked about a pod: by labels of the pod and of its namespace, and by which it leaves out.

use serde_json::Value;

use super::containers::text;
use crate::{check::LET_IN, plan::INJECT_LABEL};

/// Whether Curfew is asked about this pod. `left_out_by` is the webhook configuration that leaves its namespace out.
///
/// # Errors
/// It is not: why, and what mends that.
pub(super) fn asked(
    pod: &Value,
    namespace: &str,
    label: Option<&str>,
    left_out_by: Option<&str>,
) -> Result<(), (String, Option<String>)> {
    let own =
        pod.pointer("/metadata/labels").and_then(|labels| labels.get(INJECT_LABEL)).and_then(Value::as_str);
    match text(pod, "/spec/restartPolicy") {
        "" | "Always" => {
            return Err(("its restartPolicy is Always: what never ends needs no curfew".to_owned(), None));
        }
        _ => {}
    }
    if let Some(by) = left_out_by {
        // No label mends that.
        let why = format!(
            "{by} leaves namespace {namespace} out, whatever is labelled: run it in another namespace, or {LET_IN}"
        );
        return Err((why, None));
    }
    match (label, own) {
        (_, Some("disabled")) => Err((format!("its label {INJECT_LABEL} is `disabled`"), None)),
        (Some("enabled"), _) => Ok(()),
        (Some("disabled"), _) => {
            Err((format!("the label {INJECT_LABEL} of namespace {namespace} is `disabled`"), None))
        }
        (_, Some("enabled")) => Ok(()),
        (Some(other), _) => {
            let mend = format!("kubectl label --overwrite namespace {namespace} {INJECT_LABEL}=enabled");
            Err((
                format!("the label {INJECT_LABEL} of namespace {namespace} is `{other}`, not `enabled`"),
                Some(mend),
            ))
        }
        (None, _) => {
            let mend = format!("kubectl label namespace {namespace} {INJECT_LABEL}=enabled");
            Err((
                format!("neither it nor namespace {namespace} has the label {INJECT_LABEL}=enabled"),
                Some(mend),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked_with(
        namespace: Option<&str>,
        pod: Option<&str>,
        policy: &str,
    ) -> Result<(), (String, Option<String>)> {
        let labels = pod.map(|value| json!({(INJECT_LABEL): value}));
        asked(
            &json!({"metadata": {"labels": labels}, "spec": {"restartPolicy": policy}}),
            "load",
            namespace,
            None,
        )
    }

    #[test]
    fn it_is_asked_as_the_two_webhooks_select() {
        for (namespace, pod, is_asked) in [
            (Some("enabled"), None, true),
            (Some("enabled"), Some("disabled"), false),
            (None, Some("enabled"), true),
            (Some("disabled"), Some("enabled"), false),
            (None, None, false),
            (Some("true"), None, false),
            (Some("true"), Some("enabled"), true),
        ] {
            assert_eq!(asked_with(namespace, pod, "Never").is_ok(), is_asked, "{namespace:?} {pod:?}");
        }
        assert!(asked_with(Some("enabled"), None, "Always").is_err());
    }

    #[test]
    fn in_a_namespace_that_is_left_out_no_label_counts() {
        let pod =
            json!({"metadata": {"labels": {(INJECT_LABEL): "enabled"}}, "spec": {"restartPolicy": "Never"}});
        let (why, mend) = asked(&pod, "ops", Some("enabled"), Some("00-curfew")).expect_err("it is left out");
        assert!(
            why.starts_with("00-curfew leaves namespace ops out")
                && why.contains("webhook.excludedNamespaces"),
            "{why}"
        );
        assert_eq!(mend, None);
    }

    #[test]
    fn a_label_that_is_missing_is_the_mend() {
        let (why, mend) = asked_with(None, None, "Never").expect_err("no label");
        assert!(
            why.contains("load")
                && mend.is_some_and(|mend| mend == "kubectl label namespace load curfew.dev/inject=enabled")
        );
    }
}
