//! Webhooks by name: Curfew's own, injectors of meshes, and hooks that are known to take fields away.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::core::{Selector, SelectorExt};

use super::{NAME, NAME_LABEL};

/// A mesh, as its installation can be told from outside of pods.
#[derive(Debug)]
pub(super) struct Mesh {
    /// What people call it.
    pub(super) title: &'static str,
    /// Name of its row in the catalogue.
    pub(super) row: &'static str,
    /// What the names of its injector's webhook configurations begin with.
    pub(super) injector: &'static [&'static str],
    /// Labels and annotations of namespaces by which it is asked for, and the values that ask; any where empty.
    pub(super) asked_by: &'static [(&'static str, &'static [&'static str])],
    /// Last parts of the repository of its control plane's image.
    pub(super) image: &'static [&'static str],
    /// Since when it knows its switch for native sidecars, and since when it injects them unasked.
    pub(super) native: Native,
}

/// When a mesh came to native sidecars, as (major, minor).
#[derive(Debug)]
pub(super) struct Native {
    /// It knows its switch since.
    pub(super) switch: Option<(u32, u32)>,
    /// It injects them unasked since.
    pub(super) unasked: Option<(u32, u32)>,
    /// The same for releases that are numbered by date.
    pub(super) edge: Option<[(u32, u32); 2]>,
}

/// Where a mesh is not asked for by namespaces, its pods ask for it.
pub(super) const MESHES: [Mesh; 6] = [
    Mesh {
        title: "Linkerd",
        row: "linkerd",
        injector: &["linkerd-proxy-injector"],
        asked_by: &[("linkerd.io/inject", &["enabled", "ingress"])],
        image: &["controller"],
        native: Native { switch: Some((2, 15)), unasked: Some((2, 20)), edge: Some([(23, 11), (26, 5)]) },
    },
    Mesh {
        title: "Istio",
        row: "istio",
        injector: &["istio-sidecar-injector", "istio-revision-tag"],
        asked_by: &[("istio-injection", &["enabled"]), ("istio.io/rev", &[])],
        image: &["pilot"],
        native: Native { switch: Some((1, 24)), unasked: Some((1, 27)), edge: None },
    },
    Mesh {
        title: "Consul",
        row: "consul",
        injector: &["consul-"],
        asked_by: &[],
        image: &["consul-k8s-control-plane"],
        native: Native { switch: Some((1, 9)), unasked: None, edge: None },
    },
    Mesh {
        title: "Dapr",
        row: "dapr",
        injector: &["dapr-sidecar-injector"],
        asked_by: &[],
        image: &["injector", "dapr"],
        native: Native { switch: Some((1, 18)), unasked: None, edge: None },
    },
    Mesh {
        title: "Kuma",
        row: "kuma",
        injector: &["kuma-admission-mutating", "kong-mesh-admission-mutating"],
        asked_by: &[("kuma.io/sidecar-injection", &["enabled", "true"])],
        image: &["kuma-cp"],
        native: Native { switch: None, unasked: Some((2, 14)), edge: None },
    },
    Mesh {
        title: "Open Service Mesh",
        row: "osm",
        injector: &["osm-webhook"],
        asked_by: &[("openservicemesh.io/sidecar-injection", &["enabled", "true", "yes"])],
        image: &["osm-injector"],
        native: Native { switch: None, unasked: None, edge: None },
    },
];

/// Hooks that took `restartPolicy` from init containers in some version: part of a configuration's or a webhook's name,
/// and what to know. All of them read a pod into a type older than native sidecars and wrote it back whole.
const STRIPPERS: [(&str, &str); 9] = [
    ("pod-identity-webhook", "Amazon EKS Pod Identity Webhook, before its client for Kubernetes 1.29"),
    ("webhook.crfa.internal.knative.dev", "Cloud Run for Anthos"),
    ("spiffe.gke.io", "GKE's SPIFFE admission controller"),
    ("datadog", "Datadog's admission controller, in several releases"),
    ("kube-image-keeper", "kube-image-keeper, up to 1.11"),
    ("secrets-init", "kube-secrets-init"),
    ("berglas", "berglas"),
    ("gtoken", "gtoken"),
    ("appmesh", "the App Mesh controller"),
];

/// The mesh whose injector this configuration is.
pub(super) fn mesh(configuration: &MutatingWebhookConfiguration) -> Option<&'static Mesh> {
    let name = configuration.metadata.name.as_deref().unwrap_or_default();
    MESHES.iter().find(|mesh| mesh.injector.iter().any(|prefix| name.starts_with(prefix)))
}

/// Who is known to have made a hook of this name that takes `restartPolicy` away.
pub(super) fn stripper(configuration: &MutatingWebhookConfiguration) -> Option<&'static str> {
    let own = configuration.metadata.name.iter();
    let mut names = own.chain(hooks(configuration).iter().map(|hook| &hook.name));
    names.find_map(|name| STRIPPERS.iter().find(|(part, _)| name.contains(part)).map(|(_, who)| *who))
}

/// Its webhooks.
pub(super) fn hooks(configuration: &MutatingWebhookConfiguration) -> &[MutatingWebhook] {
    configuration.webhooks.as_deref().unwrap_or_default()
}

/// Its name.
pub(super) fn name(configuration: &MutatingWebhookConfiguration) -> &str {
    configuration.metadata.name.as_deref().unwrap_or_default()
}

/// Whether it is a Curfew's, whosoever: by its label, or by what its webhooks are called.
pub(crate) fn is_curfew(configuration: &MutatingWebhookConfiguration) -> bool {
    let labels = configuration.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(NAME_LABEL)).is_some_and(|name| name == NAME)
        || hooks(configuration).iter().any(|hook| hook.name.ends_with(".curfew.dev"))
}

/// Whether it leads to the Curfew in this namespace, or to none in particular.
pub(super) fn is_ours(configuration: &MutatingWebhookConfiguration, own: &str) -> bool {
    is_curfew(configuration)
        && hooks(configuration)
            .iter()
            .all(|hook| hook.client_config.service.as_ref().is_none_or(|service| service.namespace == own))
}

/// Whether a webhook is asked about new pods.
pub(super) fn is_asked_of_pods(hook: &MutatingWebhook) -> bool {
    let has = |list: &Option<Vec<String>>, words: &[&str]| {
        list.iter().flatten().any(|item| words.contains(&item.as_str()))
    };
    hook.rules.iter().flatten().any(|rule| {
        has(&rule.api_groups, &["", "*"])
            && has(&rule.api_versions, &["v1", "*"])
            && has(&rule.resources, &["pods", "*", "*/*"])
            && has(&rule.operations, &["CREATE", "*"])
            && rule.scope.as_deref() != Some("Cluster")
    })
}

/// Whether a webhook's `namespaceSelector` lets in a namespace of these labels.
pub(super) fn lets_in(hook: &MutatingWebhook, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = &hook.namespace_selector else { return true };
    // The API server takes none that cannot be read.
    Selector::try_from(selector.clone()).map_or(true, |selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn configuration(value: Value) -> MutatingWebhookConfiguration {
        serde_json::from_value(value).expect("a configuration")
    }

    fn rule(rule: Value) -> MutatingWebhook {
        let hook = json!({"name": "a", "clientConfig": {}, "admissionReviewVersions": [], "sideEffects": "None",
            "rules": [rule]});
        serde_json::from_value(hook).expect("a webhook")
    }

    #[test]
    fn a_rule_with_wildcards_is_about_pods_too() {
        let rules = |groups: &str, resources: &str, operation: &str| {
            rule(
                json!({"apiGroups": [groups], "apiVersions": ["v1"], "resources": [resources], "operations": [operation]}),
            )
        };
        for (groups, resources, operation) in [("", "pods", "CREATE"), ("*", "*", "*"), ("", "*/*", "CREATE")]
        {
            assert!(is_asked_of_pods(&rules(groups, resources, operation)), "{groups} {resources}");
        }
        for (groups, resources, operation) in [
            ("apps", "pods", "CREATE"),
            ("", "pods/exec", "CREATE"),
            ("", "pods", "UPDATE"),
            ("", "nodes", "*"),
        ] {
            assert!(!is_asked_of_pods(&rules(groups, resources, operation)), "{groups} {resources}");
        }
    }

    #[test]
    fn every_mesh_has_a_row_and_only_those_with_a_switch_know_when_it_came() {
        let catalogue = crate::catalogue::Catalogue::embedded().expect("rows");
        for mesh in &MESHES {
            let row = catalogue.sidecars.iter().find(|row| row.name == mesh.row).expect(mesh.row);
            assert_eq!(mesh.native.switch.is_some(), !row.switch.is_empty(), "{}", mesh.row);
        }
    }

    #[test]
    fn injectors_and_strippers_are_known_by_name() {
        let istio = configuration(json!({"metadata": {"name": "istio-sidecar-injector-canary"}}));
        assert_eq!(mesh(&istio).map(|mesh| mesh.title), Some("Istio"));
        assert_eq!(stripper(&istio), None);
        let pod_identity = configuration(json!({"metadata": {"name": "pod-identity-webhook"}}));
        assert!(
            stripper(&pod_identity).is_some_and(|who| who.contains("EKS")) && mesh(&pod_identity).is_none()
        );
    }
}
