//! Objects, and whether Kubernetes knows every field of them.

use k8s_openapi::api::{
    admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    },
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// An object as it is rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

/// The objects of a YAML file; documents without anything are none.
///
/// # Errors
/// It is not YAML.
pub fn parse(yaml: &str) -> anyhow::Result<Vec<Object>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml)?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).map(Object).collect())
}

// === impl Object ===

impl Object {
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Kind, namespace and name: no two objects have all three in common.
    pub fn identity(&self) -> (String, String, String) {
        let namespace = self.0["metadata"]["namespace"].as_str().unwrap_or_default();
        (self.kind().to_owned(), namespace.to_owned(), self.name().to_owned())
    }

    /// Takes a label or an annotation away, where it is.
    pub fn forget(&mut self, place: &str, key: &str) {
        if let Some(entries) = self.0.pointer_mut(place).and_then(Value::as_object_mut) {
            entries.remove(key);
        }
    }
}

/// What Kubernetes does not know in an object, or misses: nothing where all is well. Kinds that others define are not
/// looked at: an API server that has them does so.
///
/// # Errors
/// A field has a type it may not have, a required one is not there, or the kind is none of those a chart may hold.
pub fn unknown_fields(object: &Object) -> anyhow::Result<Vec<String>> {
    let Object(value) = object;
    let version = value["apiVersion"].as_str().unwrap_or_default();
    let known = match (version, object.kind()) {
        ("v1", "ConfigMap") => round_trip::<ConfigMap>(value)?,
        ("v1", "Namespace") => round_trip::<Namespace>(value)?,
        ("v1", "Service") => round_trip::<Service>(value)?,
        ("v1", "ServiceAccount") => round_trip::<ServiceAccount>(value)?,
        ("apps/v1", "Deployment") => round_trip::<Deployment>(value)?,
        ("networking.k8s.io/v1", "NetworkPolicy") => round_trip::<NetworkPolicy>(value)?,
        ("policy/v1", "PodDisruptionBudget") => round_trip::<PodDisruptionBudget>(value)?,
        ("scheduling.k8s.io/v1", "PriorityClass") => round_trip::<PriorityClass>(value)?,
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => round_trip::<ClusterRole>(value)?,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => round_trip::<ClusterRoleBinding>(value)?,
        ("rbac.authorization.k8s.io/v1", "Role") => round_trip::<Role>(value)?,
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => round_trip::<RoleBinding>(value)?,
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") => {
            round_trip::<MutatingWebhookConfiguration>(value)?
        }
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => {
            round_trip::<ValidatingAdmissionPolicy>(value)?
        }
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
            round_trip::<ValidatingAdmissionPolicyBinding>(value)?
        }
        ("cert-manager.io/v1", "Certificate" | "Issuer")
        | ("monitoring.coreos.com/v1", "ServiceMonitor" | "PodMonitor" | "PrometheusRule") => {
            return Ok(Vec::new());
        }
        (version, kind) => anyhow::bail!("{version} {kind} is no kind this chart should hold"),
    };
    let mut lost = Vec::new();
    compare(value, &known, "", &mut lost);
    Ok(lost)
}

/// As it is after a passage through the type, which keeps nothing it does not know.
fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(serde_json::from_value::<T>(value.clone())?)?)
}

/// Places of what is in `written` and not in `known`.
fn compare(written: &Value, known: &Value, place: &str, lost: &mut Vec<String>) {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            for (key, value) in written {
                let place = format!("{place}/{key}");
                match known.get(key) {
                    Some(known) => compare(value, known, &place, lost),
                    // Nothing at all is not worth keeping.
                    None if value.is_null() => lost.push(format!("{place} is null")),
                    None => lost.push(place),
                }
            }
        }
        (Value::Array(written), Value::Array(known)) if written.len() == known.len() => {
            for (index, (written, known)) in written.iter().zip(known).enumerate() {
                compare(written, known, &format!("{place}/{index}"), lost);
            }
        }
        (written, known) if written == known => {}
        (written, known) => lost.push(format!("{place}: {written} is taken for {known}")),
    }
}
