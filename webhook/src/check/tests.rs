//! A cluster on which everything is as it should be, for checks to bend, and what they come to together.

use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    apps::v1::Deployment,
    core::v1::{Namespace, Node},
};
use serde_json::{Value, json};

use super::*;

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn hook(name: &str, service: &Value, policy: &str, selector: &Value) -> Value {
    json!({"name": name, "clientConfig": {"service": service}, "reinvocationPolicy": policy,
        "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "namespaceSelector": selector, "matchConditions": [{"name": "ends", "expression": "true"}],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]})
}

/// Somebody's configuration about all pods.
pub(super) fn configuration(name: &str, policy: &str) -> MutatingWebhookConfiguration {
    let service = json!({"name": "injector", "namespace": "mesh"});
    of(json!({"metadata": {"name": name}, "webhooks": [hook("hook.example", &service, policy, &json!({}))]}))
}

/// A Curfew's, in this namespace.
pub(super) fn curfew(name: &str, namespace: &str) -> MutatingWebhookConfiguration {
    let service = json!({"name": "curfew", "namespace": namespace, "path": "/mutate"});
    let not_ours = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace, "kube-system"]});
    let hooks = ["namespaces.curfew.dev", "pods.curfew.dev"]
        .map(|name| hook(name, &service, "IfNeeded", &json!({"matchExpressions": [not_ours]})));
    of(json!({"metadata": {"name": name, "labels": {"app.kubernetes.io/name": "curfew"}}, "webhooks": hooks}))
}

/// Its Deployment of two replicas, this many of them ready.
pub(super) fn deployment(namespace: &str, ready: i32) -> Deployment {
    let container = json!({"name": "webhook",
        "args": ["serve", "--tls-cert=/tls/tls.crt", "--config=/etc/curfew/config.yaml"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/curfew"}]});
    let volumes = json!([{"name": "tls", "secret": {"secretName": "curfew-tls"}},
        {"name": "config", "configMap": {"name": "curfew"}}]);
    of(json!({"metadata": {"namespace": namespace, "name": "curfew"},
        "spec": {"replicas": 2, "selector": {}, "template": {"spec": {
            "serviceAccountName": "curfew", "containers": [container], "volumes": volumes}}},
        "status": {"readyReplicas": ready}}))
}

/// The same with these arguments.
pub(super) fn running(namespace: &str, args: &[&str]) -> Deployment {
    let mut made = serde_json::to_value(deployment(namespace, 2)).expect("JSON");
    made["spec"]["template"]["spec"]["containers"][0]["args"] = json!(args);
    of(made)
}

pub(super) fn node(name: &str, version: &str, system: &str) -> Node {
    let mut info = json!({"kubeletVersion": version, "operatingSystem": system});
    for key in [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "machineID",
        "osImage",
        "systemUUID",
    ] {
        info[key] = json!("");
    }
    of(json!({"metadata": {"name": name}, "status": {"nodeInfo": info,
        "images": [{"names": ["r.example/curfew-reaper:1"]}]}}))
}

pub(super) fn namespace(name: &str, labels: Value, annotations: Value) -> Namespace {
    of(json!({"metadata": {"name": name, "labels": labels, "annotations": annotations}}))
}

/// All is well, but that no certificate was looked at.
pub(super) fn facts() -> Facts {
    let data = json!({"config.yaml": "reaper: {image: r.example/curfew-reaper:1}"});
    Facts {
        now: "2026-01-01T00:00:00Z".parse().expect("a time"),
        own: "curfew".to_owned(),
        server: "v1.36.3".parse().ok(),
        configurations: Ok(vec![curfew("00-curfew", "curfew")]),
        deployments: Ok(vec![deployment("curfew", 2)]),
        config: Ok(Some(of(json!({"metadata": {"name": "curfew"}, "data": data})))),
        secrets: BTreeMap::new(),
        nodes: Ok(vec![node("a", "v1.36.3", "linux")]),
        namespaces: Ok(vec![]),
        pull_secrets: BTreeMap::new(),
        probes: BTreeMap::new(),
        pods: Ok(vec![]),
        rights: vec![],
        policed: Ok(["pods", "mutatingwebhookconfigurations"].map(str::to_owned).into()),
        injectors: Ok(vec![]),
    }
}

/// The same with this configuration.
pub(super) fn configured(text: &str) -> Facts {
    let data = BTreeMap::from([("config.yaml".to_owned(), text.to_owned())]);
    let mut facts = facts();
    facts.config.as_mut().expect("seen").as_mut().expect("there").data = Some(data);
    facts
}

#[test]
fn the_worst_is_told_first() {
    let mut facts = facts();
    facts.policed = Ok([].into());
    facts.deployments = Ok(vec![]);
    let severities: Vec<_> = judge(&facts).into_iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
    assert!(severities.contains(&Severity::Fail) && severities.contains(&Severity::Ok));
}

#[test]
fn of_what_nobody_may_see_nothing_is_said_to_be_well() {
    let mut facts = facts();
    let no = || Unseen("you may not".to_owned());
    facts.server = None;
    (facts.configurations, facts.deployments, facts.config) = (Err(no()), Err(no()), Err(no()));
    (facts.nodes, facts.namespaces, facts.pods) = (Err(no()), Err(no()), Err(no()));
    (facts.policed, facts.injectors) = (Err(no()), Err(no()));
    let findings = judge(&facts);
    assert!(!findings.is_empty() && facts.is_blind());
    for finding in findings {
        assert!(!finding.seen && finding.severity == Severity::Note, "{finding:?}");
    }
}
