//! Namespaces that opted in, which mesh each has, and what a Job's pod there would come to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;

use super::{Facts, Finding, LET_IN, known::MESHES};
use crate::plan::INJECT_LABEL;

const SUBJECT: &str = "namespaces";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let all = match &facts.namespaces {
        Ok(all) => all,
        Err(why) => return vec![Finding::unseen(SUBJECT, "which namespaces opted in", why)],
    };
    let mut findings = Vec::new();
    let mut without = Vec::new();
    let mut any = false;
    for namespace in all {
        let name = name(namespace);
        match (label(namespace, INJECT_LABEL), facts.left_out_by(namespace)) {
            (Some("enabled"), Some(by)) => {
                let text = format!(
                    "{name} is labelled, and left out all the same by the namespaceSelector of {by}: Curfew is never asked about its pods"
                );
                findings.push(
                    Finding::warn(SUBJECT, text).mend(format!("run Jobs in another namespace, or {LET_IN}")),
                );
            }
            (Some("enabled"), None) => {
                any = true;
                findings.push(opted_in(facts, namespace));
            }
            (Some("disabled"), _) => {}
            (Some(other), _) => {
                let text = format!("{name}: {INJECT_LABEL} is `{other}`, which opts in nothing");
                let mend = format!("kubectl label --overwrite namespace {name} {INJECT_LABEL}=enabled");
                findings.push(Finding::warn(SUBJECT, text).mend(mend));
            }
            (None, None) if asked(namespace).is_some() => without.push(name),
            (None, _) => {}
        }
    }
    if !any {
        findings.push(
            Finding::note(SUBJECT, format!("no namespace has the label {INJECT_LABEL}=enabled"))
                .mend(format!("kubectl label namespace NAME {INJECT_LABEL}=enabled")),
        );
    }
    if !without.is_empty() {
        let text = format!("{} ask for a mesh and not for Curfew: Jobs there may hang", without.join(", "));
        findings.push(
            Finding::note(SUBJECT, text).mend(format!("kubectl label namespace NAME {INJECT_LABEL}=enabled")),
        );
    }
    findings
}

/// What a Job's pod would come to there.
fn opted_in(facts: &Facts, namespace: &Namespace) -> Finding {
    let name = name(namespace);
    let mesh = asked(namespace);
    let told = match (&mesh, is_ambient(namespace)) {
        (Some((title, by)), _) => format!("{name} has {title} ({by})"),
        (None, true) => format!("{name} is in Istio's ambient mesh, whose pods have no sidecar"),
        (None, false) => format!("{name} asks for no mesh"),
    };
    let Some(status) = facts.probes.get(name).and_then(|probe| probe.status()) else {
        // Why is the webhook's check to say.
        return Finding {
            seen: false,
            ..Finding::note(SUBJECT, format!("{told}; what Curfew would do there was not seen"))
        };
    };
    let sidecars: Vec<_> = status
        .containers
        .iter()
        .filter(|(_, role)| role.contains("sidecar "))
        .map(|(container, role)| format!("{container} is a {role}"))
        .collect();
    let sidecars = if sidecars.is_empty() { String::new() } else { format!("; {}", sidecars.join(", ")) };
    let text = format!("{told}; a Job's pod comes to `{}`: {}{sidecars}", status.strategy, status.reason);
    if status.strategy == "leave" {
        let mend = status.passed_over.values().next_back().cloned();
        return Finding::warn(SUBJECT, text)
            .mend(mend.unwrap_or_else(|| "docs/strategies.md says what helps".to_owned()));
    }
    if let Some(warning) = status.warnings.first() {
        return Finding::warn(SUBJECT, format!("{text}; it is warned: {warning}"));
    }
    if mesh.is_some() && sidecars.is_empty() {
        return Finding::note(SUBJECT, format!("{text}; its mesh injected nothing into it"));
    }
    Finding::ok(SUBJECT, text)
}

/// Which mesh a namespace asks for, and by what.
fn asked(namespace: &Namespace) -> Option<(&'static str, String)> {
    let metadata = &namespace.metadata;
    let value = |key: &str| {
        let of = |map: &Option<BTreeMap<String, String>>| map.as_ref().and_then(|map| map.get(key).cloned());
        of(&metadata.labels).or_else(|| of(&metadata.annotations))
    };
    MESHES.iter().find_map(|mesh| {
        mesh.asked_by.iter().find_map(|(key, values)| {
            let found = value(key)?;
            let asks = values.is_empty() || values.contains(&found.as_str());
            asks.then(|| (mesh.title, format!("{key}: {found}")))
        })
    })
}

fn is_ambient(namespace: &Namespace) -> bool {
    label(namespace, "istio.io/dataplane-mode") == Some("ambient")
}

fn name(namespace: &Namespace) -> &str {
    namespace.metadata.name.as_deref().unwrap_or_default()
}

fn label<'a>(namespace: &'a Namespace, key: &str) -> Option<&'a str> {
    namespace.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::{
        Probe, Severity,
        tests::{facts, namespace},
    };

    fn status(status: Value) -> Probe {
        let annotations = json!({"curfew.dev/status": status.to_string()});
        Probe::Made(Box::new(json!({"metadata": {"annotations": annotations}})))
    }

    fn with(labels: Value, annotations: Value, probe: Option<Value>) -> Finding {
        let mut facts = facts();
        facts.namespaces = Ok(vec![namespace("load", labels, annotations)]);
        facts.probes = probe.into_iter().map(|probe| ("load".to_owned(), status(probe))).collect();
        check(&facts).remove(0)
    }

    #[test]
    fn one_that_opted_in_tells_its_mesh_and_what_a_pod_comes_to() {
        let native = json!({"strategy": "native", "reason": "because", "containers": {"linkerd-proxy": "native sidecar linkerd", "main": "main"}});
        let found = with(
            json!({"curfew.dev/inject": "enabled"}),
            json!({"linkerd.io/inject": "enabled"}),
            Some(native),
        );
        assert_eq!(found.severity, Severity::Ok);
        assert_eq!(
            found.finding,
            "load has Linkerd (linkerd.io/inject: enabled); a Job's pod comes to `native`: because; linkerd-proxy is a native sidecar linkerd"
        );
    }

    #[test]
    fn one_that_would_be_left_to_hang_is_warned_of() {
        let leave = json!({"strategy": "leave", "reason": "p will hold this pod", "passedOver": {"reaper": "no endpoint; open it"}});
        let found =
            with(json!({"curfew.dev/inject": "enabled", "istio.io/rev": "canary"}), json!({}), Some(leave));
        assert!(
            found.severity == Severity::Warn && found.finding.contains("Istio (istio.io/rev: canary)"),
            "{found:?}"
        );
        assert_eq!(found.mend.as_deref(), Some("no endpoint; open it"));
    }

    #[test]
    fn a_mesh_that_injects_nothing_and_ambient_are_told() {
        let none =
            json!({"strategy": "none", "reason": "no sidecar in the pod", "containers": {"main": "main"}});
        let label = json!({"curfew.dev/inject": "enabled", "istio-injection": "enabled"});
        let found = with(label, json!({}), Some(none.clone()));
        assert!(found.severity == Severity::Note && found.finding.contains("injected nothing"), "{found:?}");
        let label = json!({"curfew.dev/inject": "enabled", "istio.io/dataplane-mode": "ambient"});
        let found = with(label, json!({}), Some(none));
        assert!(found.severity == Severity::Ok && found.finding.contains("ambient"), "{found:?}");
    }

    #[test]
    fn a_label_that_says_something_else_opts_in_nothing() {
        let found = with(json!({"curfew.dev/inject": "true"}), json!({}), None);
        assert!(found.severity == Severity::Warn && found.finding.contains("`true`"), "{found:?}");
        let mut facts = facts();
        facts.namespaces =
            Ok(vec![namespace("kube-system", json!({"curfew.dev/inject": "enabled"}), json!({}))]);
        let found = check(&facts).remove(0);
        assert!(
            found.finding.contains("left out all the same by the namespaceSelector of 00-curfew"),
            "{found:?}"
        );
        // Nobody knows without a configuration.
        facts.configurations = Ok(vec![]);
        assert!(!check(&facts)[0].finding.contains("left out"));
    }

    #[test]
    fn a_mesh_without_curfew_is_pointed_out() {
        let mut facts = facts();
        facts.namespaces = Ok(vec![
            namespace("a", json!({}), json!({"linkerd.io/inject": "enabled"})),
            namespace("b", json!({"istio-injection": "disabled"}), json!({})),
            namespace(
                "c",
                json!({"kuma.io/sidecar-injection": "enabled", "curfew.dev/inject": "disabled"}),
                json!({}),
            ),
        ]);
        let found = check(&facts);
        assert!(found[1].finding.starts_with("a ask for a mesh and not for Curfew"), "{found:?}");
        // Where the label would change nothing it is no mend.
        facts.namespaces =
            Ok(vec![namespace("kube-system", json!({"istio-injection": "enabled"}), json!({}))]);
        assert_eq!(check(&facts).len(), 1);
    }

    #[test]
    fn what_was_not_tried_is_not_taken_for_well() {
        let found = with(json!({"curfew.dev/inject": "enabled"}), json!({}), None);
        assert!(!found.seen && found.severity == Severity::Note, "{found:?}");
    }
}
