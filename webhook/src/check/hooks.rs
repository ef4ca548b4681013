//! Hooks that take `restartPolicy` from init containers, so that a native sidecar blocks its pod.

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Namespace};

use super::{Facts, Finding, Probe, known};
use crate::plan::Version;

const SUBJECT: &str = "hooks";
/// Older API servers drop the field themselves.
const SINCE: Version = Version::new(1, 29, 0);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if facts.server.is_some_and(|server| server < SINCE) {
        let text = "the API server is older than 1.29 and knows no native sidecars, so no hook can spoil one";
        return vec![Finding::ok(SUBJECT, text)];
    }
    let (mut whole, mut findings) = (Vec::new(), Vec::new());
    for (namespace, probe) in &facts.probes {
        match (probe, probe.keeps_native()) {
            (_, Some(true)) => whole.push(namespace.as_str()),
            (_, Some(false)) => findings.push(stripped(facts, namespace)),
            (Probe::Refused(message), None) if message.contains("without restartPolicy=Always") => {
                findings.push(stripped(facts, namespace));
            }
            _ => {}
        }
    }
    if !whole.is_empty() {
        let text = format!("a native sidecar comes whole through every hook in {}", whole.join(", "));
        findings.push(Finding::ok(SUBJECT, text));
        return findings;
    }
    let known = facts.configurations.as_deref().unwrap_or_default();
    for (one, who) in known.iter().filter_map(|one| Some((one, known::stripper(one)?))) {
        let text = format!(
            "{} ({who}) may take restartPolicy from native sidecars, as some versions of it did",
            known::name(one)
        );
        let mend = "bring it up to date, or name await: curfew.dev/strategy: await on the namespace";
        findings.push(Finding::warn(SUBJECT, text).mend(mend));
    }
    if findings.is_empty() && facts.probes.is_empty() {
        findings.push(Finding {
            seen: false,
            ..Finding::note(
                SUBJECT,
                "whether a hook spoils native sidecars: not looked at, without a pod to try",
            )
        });
    }
    findings
}

fn stripped(facts: &Facts, namespace: &str) -> Finding {
    let suspects = suspects(facts, namespace);
    let who = match &suspects[..] {
        [] => "a hook".to_owned(),
        [one] => (*one).to_owned(),
        many => format!("one of {}", many.join(", ")),
    };
    let text = format!(
        "in {namespace} {who} takes restartPolicy from init containers: native sidecars block their pods there"
    );
    Finding::fail(SUBJECT, text).mend(
        "bring that hook up to date (its Pod is older than Kubernetes 1.29), or name await: \
         kubectl annotate namespace NAME curfew.dev/strategy=await"
            .replace("NAME", namespace),
    )
}

/// The hooks asked about pods of a namespace: those known for it, or else all but Curfew's.
fn suspects<'a>(facts: &'a Facts, namespace: &str) -> Vec<&'a str> {
    let of = facts.namespaces.as_deref().unwrap_or_default();
    let of = of.iter().find(|one| one.metadata.name.as_deref() == Some(namespace));
    let all = facts.configurations.as_deref().unwrap_or_default();
    let asked: Vec<_> = all.iter().filter(|one| !known::is_curfew(one) && is_asked_in(one, of)).collect();
    let names = |only: &dyn Fn(&MutatingWebhookConfiguration) -> bool| {
        asked.iter().filter(|one| only(one)).map(|one| known::name(one)).collect::<Vec<_>>()
    };
    let known = names(&|one| known::stripper(one).is_some());
    if known.is_empty() { names(&|_| true) } else { known }
}

/// Whether a configuration has a webhook about pods of this namespace; of one that was not seen it may.
fn is_asked_in(configuration: &MutatingWebhookConfiguration, namespace: Option<&Namespace>) -> bool {
    known::hooks(configuration).iter().filter(|hook| known::is_asked_of_pods(hook)).any(|hook| {
        let Some(namespace) = namespace else { return true };
        known::lets_in(hook, &namespace.metadata.labels.clone().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::{
        Severity,
        tests::{configuration, facts, namespace},
    };

    fn made(init: Value) -> Probe {
        Probe::Made(Box::new(json!({"spec": {"initContainers": init}})))
    }

    fn with(probe: Option<Probe>, others: &[(&str, Value)]) -> Vec<Finding> {
        let mut facts = facts();
        facts.probes = probe.into_iter().map(|probe| ("load".to_owned(), probe)).collect();
        facts.namespaces = Ok(vec![namespace("load", json!({"team": "a"}), json!({}))]);
        let others = others.iter().map(|(name, selector)| {
            let mut one = configuration(name, "Never");
            one.webhooks.iter_mut().flatten().for_each(|hook| {
                hook.namespace_selector = serde_json::from_value(selector.clone()).expect("a selector");
            });
            one
        });
        facts.configurations = Ok(others.collect());
        check(&facts)
    }

    #[test]
    fn a_sidecar_that_comes_back_plain_was_stripped_by_one_of_those_that_are_asked_there() {
        let stripped = made(json!([{"name": "curfew-check"}]));
        let others = [
            ("a", json!({})),
            ("b", json!({"matchLabels": {"team": "b"}})),
            ("c", json!({"matchLabels": {"team": "a"}})),
        ];
        let found = with(Some(stripped), &others).remove(0);
        assert!(found.severity == Severity::Fail && found.finding.contains("one of a, c takes"), "{found:?}");
        assert!(found.mend.is_some_and(|mend| mend.contains("annotate namespace load")));
    }

    #[test]
    fn one_that_is_known_for_it_is_the_only_suspect() {
        let stripped = made(json!([{"name": "curfew-check"}]));
        let found = with(Some(stripped), &[("a", json!({})), ("pod-identity-webhook", json!({}))]).remove(0);
        assert!(found.finding.contains("in load pod-identity-webhook takes"), "{found:?}");
    }

    #[test]
    fn one_that_is_known_for_it_and_does_no_harm_here_is_no_reason_to_worry() {
        let whole = made(json!([{"name": "curfew-check", "restartPolicy": "Always"}]));
        let found = with(Some(whole), &[("pod-identity-webhook", json!({}))]);
        assert_eq!(found.iter().map(|found| found.severity).collect::<Vec<_>>(), [Severity::Ok]);
        let untried = with(None, &[("pod-identity-webhook", json!({}))]).remove(0);
        assert!(untried.severity == Severity::Warn && untried.finding.contains("EKS"), "{untried:?}");
    }

    #[test]
    fn a_refusal_for_the_missing_field_is_the_same() {
        let message = "Pod \"x\" is invalid: spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always";
        let found = with(Some(Probe::Refused(message.to_owned())), &[]).remove(0);
        assert!(found.severity == Severity::Fail && found.finding.contains("a hook takes"), "{found:?}");
    }
}
