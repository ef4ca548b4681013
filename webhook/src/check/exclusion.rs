//! Namespaces that Curfew's webhook configuration leaves out, whatever their own label says: its own, and what the chart's
//! `webhook.excludedNamespaces` and `rights.namespaces` say, or whoever wrote it.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;

use super::known;
use crate::plan::INJECT_LABEL;

/// What each namespace has as a label of its own.
const NAME: &str = "kubernetes.io/metadata.name";
/// What lets a namespace in that is left out.
pub(crate) const LET_IN: &str = "let this one in by the chart's webhook.excludedNamespaces, or rights.namespaces where rights.scope is namespaces";

/// The configuration of these that leaves a namespace out; none where one of them lets it in, or none is known.
pub(crate) fn left_out_by<'a>(
    configurations: impl IntoIterator<Item = &'a MutatingWebhookConfiguration>,
    namespace: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Option<&'a str> {
    let mut labelled = labels.cloned().unwrap_or_default();
    labelled.insert(NAME.to_owned(), namespace.to_owned());
    let mut bare = labelled.clone();
    labelled.insert(INJECT_LABEL.to_owned(), "enabled".to_owned());
    bare.remove(INJECT_LABEL);
    let mut by = None;
    for one in configurations {
        let mut asked = known::hooks(one).iter().filter(|hook| known::is_asked_of_pods(hook));
        // Pods of a namespace without the label may have it themselves.
        if asked.any(|hook| known::lets_in(hook, &labelled) || known::lets_in(hook, &bare)) {
            return None;
        }
        by = by.or(Some(known::name(one)));
    }
    by
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::tests::curfew;

    /// As the chart renders it, with this beside its own expressions.
    fn chart(beside: Value) -> MutatingWebhookConfiguration {
        let mut made = curfew("00-curfew", "curfew");
        for (hook, (operator, values)) in made
            .webhooks
            .iter_mut()
            .flatten()
            .zip([("In", json!(["enabled"])), ("NotIn", json!(["enabled", "disabled"]))])
        {
            let own = json!({"key": "curfew.dev/inject", "operator": operator, "values": values});
            let selector = json!({"matchExpressions": [own, beside]});
            hook.namespace_selector = Some(serde_json::from_value(selector).expect("a selector"));
        }
        made
    }

    fn is_out(one: &MutatingWebhookConfiguration, namespace: &str, label: Option<&str>) -> bool {
        let labels = label.map(|label| BTreeMap::from([(INJECT_LABEL.to_owned(), label.to_owned())]));
        left_out_by([one], namespace, labels.as_ref()).is_some()
    }

    #[test]
    fn excluded_names_are_left_out_and_their_labels_change_nothing() {
        let one =
            chart(json!({"key": NAME, "operator": "NotIn", "values": ["curfew", "kube-system", "ops"]}));
        for label in [None, Some("enabled"), Some("disabled")] {
            assert!(is_out(&one, "ops", label) && is_out(&one, "curfew", label), "{label:?}");
            assert!(!is_out(&one, "load", label), "{label:?}");
        }
    }

    #[test]
    fn where_namespaces_are_named_all_others_are_left_out() {
        let one = chart(json!({"key": NAME, "operator": "In", "values": ["load"]}));
        assert!(!is_out(&one, "load", Some("enabled")) && is_out(&one, "other", Some("enabled")));
    }

    #[test]
    fn without_a_configuration_or_where_another_lets_it_in_nothing_is_left_out() {
        assert_eq!(left_out_by([], "kube-system", None), None);
        let named = chart(json!({"key": NAME, "operator": "In", "values": ["load"]}));
        let others = chart(json!({"key": NAME, "operator": "NotIn", "values": ["load"]}));
        assert_eq!(left_out_by([&named], "other", None), Some("00-curfew"));
        assert_eq!(left_out_by([&named, &others], "other", None), None);
    }
}
