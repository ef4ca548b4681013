//! A pod that is not really made: the API server carries out everything but the writing, and tells what would be.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::{Client, Resource, api::PostParams, core::Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Unseen;
use crate::{
    plan::{INJECT_LABEL, STATUS},
    rescue::{Denied, denied},
};

/// Name of the native sidecar in it, which no catalogue knows and nobody should change.
pub(super) const NATIVE: &str = "curfew-check";

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// It would be made, and this is how.
    Made(Box<Value>),
    /// It would not, and the API server says why.
    Refused(String),
    /// It could not be tried.
    Unseen(Unseen),
}

/// What Curfew wrote on a pod: `curfew.dev/status`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) strategy: String,
    pub(crate) reason: String,
    pub(crate) workload: String,
    pub(crate) containers: BTreeMap<String, String>,
    pub(crate) passed_over: BTreeMap<String, String>,
    pub(crate) prepared: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// A Job's pod of the simplest kind, in line with Pod Security and quotas, with a native sidecar.
pub(super) fn pod() -> Value {
    let resources = json!({"cpu": "10m", "memory": "16Mi"});
    let container = |name: &str| {
        json!({"name": name, "image": "curfew-check", "command": ["true"],
            "resources": {"requests": resources, "limits": resources},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
    };
    let mut native = container(NATIVE);
    native["restartPolicy"] = json!("Always");
    json!({"apiVersion": "v1", "kind": "Pod",
        // Labelled itself, so that it is asked about in any namespace.
        "metadata": {"generateName": "curfew-check-", "labels": {INJECT_LABEL: "enabled"}},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [native], "containers": [container("main")]}})
}

/// Has the API server make `pod` in a namespace, but for the writing.
pub async fn dry_run(client: &Client, namespace: &str, pod: &Value) -> Probe {
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let request = Request::new(PodObject::url_path(&(), Some(namespace)));
    let request = match request.create(&parameters, pod.to_string().into_bytes()) {
        Ok(request) => request,
        Err(error) => return Probe::Unseen(Unseen(error.to_string())),
    };
    let answer: Result<Value, _> = client.request(request).await;
    match answer {
        Ok(pod) => Probe::Made(Box::new(pod)),
        // Refusals of admission have the same code as a right that is missing.
        Err(kube::Error::Api(status)) if !status.message.contains("cannot create resource \"pods\"") => {
            Probe::Refused(status.message)
        }
        Err(error) => {
            let why: Denied = denied(error, "create pods", Some(namespace), "namespace");
            Probe::Unseen(why.into())
        }
    }
}

impl Probe {
    /// What Curfew wrote on the pod; none where it did not, or there is no pod.
    pub(crate) fn status(&self) -> Option<Status> {
        let Self::Made(pod) = self else { return None };
        status_of(pod)
    }

    /// What is left of the native sidecar's restart policy.
    pub(super) fn keeps_native(&self) -> Option<bool> {
        let Self::Made(pod) = self else { return None };
        let init = pod.pointer("/spec/initContainers").and_then(Value::as_array);
        let own = init.into_iter().flatten().find(|container| container["name"] == NATIVE);
        Some(own.is_some_and(|container| container["restartPolicy"] == "Always"))
    }
}

/// What Curfew wrote on a pod, if it did.
pub(crate) fn status_of(pod: &Value) -> Option<Status> {
    let annotations = pod.pointer("/metadata/annotations")?;
    serde_json::from_str(annotations.get(STATUS)?.as_str()?).ok()
}
