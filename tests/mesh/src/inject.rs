//! What the injector does to a pod. Pure: pod and options in, pod out.

mod istio;
mod linkerd;
mod probes;
#[cfg(test)]
mod tests;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::options::{Annotations, Options};

/// What is the same for every pod of the mesh.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    /// The image of the sidecar and of its init container.
    pub(crate) image: String,
    /// CIDRs of pods and Services, where a strict proxy expects others of the mesh.
    pub(crate) networks: String,
    /// Who vouches for the mesh, PEM.
    pub(crate) ca: String,
    /// The certificate every proxy shows, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM.
    pub(crate) key: String,
}

/// One pod to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) pod: &'a Value,
    pub(crate) namespace: &'a str,
    pub(crate) namespace_annotations: Option<&'a Map<String, Value>>,
    /// Whether the injector looks for its proxy in `containers` alone.
    pub(crate) forgetful: bool,
}

/// The pod with its sidecar; none if it gets none.
pub(crate) fn inject(subject: Subject<'_>, mesh: &Mesh) -> anyhow::Result<Option<Value>> {
    let annotations = Annotations {
        pod: subject.pod.pointer("/metadata/annotations").and_then(Value::as_object),
        namespace: subject.namespace_annotations,
    };
    let options = Options::read(annotations)?;
    // Neither mesh can redirect the traffic of a node.
    if subject.pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    match options.shape {
        crate::options::Shape::Linkerd => linkerd::inject(subject, annotations, &options, mesh),
        crate::options::Shape::Istio => istio::inject(subject, annotations, &options, mesh),
    }
}

/// A list of the pod's spec, made if it is missing.
fn list<'a>(pod: &'a mut Value, name: &str) -> anyhow::Result<&'a mut Vec<Value>> {
    let spec = pod.pointer_mut("/spec").and_then(Value::as_object_mut).context("the pod has no spec")?;
    let list = spec.entry(name).or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut().with_context(|| format!("the pod's spec.{name} is no list"))
}

/// A map of the pod's metadata, made if it is missing.
fn metadata<'a>(pod: &'a mut Value, name: &str) -> anyhow::Result<&'a mut Map<String, Value>> {
    let metadata =
        pod.pointer_mut("/metadata").and_then(Value::as_object_mut).context("the pod has no metadata")?;
    let map = metadata.entry(name).or_insert(Value::Null);
    if map.is_null() {
        *map = json!({});
    }
    map.as_object_mut().with_context(|| format!("the pod's metadata.{name} is no map"))
}

/// The container of this name in a list of the spec.
fn find<'a>(pod: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    let list = pod.pointer(&format!("/spec/{list}"))?.as_array()?;
    list.iter().find(|container| container["name"] == name)
}

/// What the proxy itself reads, whatever its shape.
fn own_env(annotations: Annotations<'_>, options: &Options, mesh: &Mesh) -> Vec<Value> {
    let mut env = vec![json!({ "name": "TEST_MESH_SHAPE", "value": options.shape.name() })];
    for (variable, name) in [
        ("TEST_MESH_READY_AFTER", "ready-after"),
        ("TEST_MESH_STRICT", "strict"),
        ("TEST_MESH_CRASH_AFTER", "crash-after"),
        ("TEST_MESH_OOM_AFTER", "oom-after"),
    ] {
        if let Some(value) = annotations.get(&format!("{}{name}", crate::options::PREFIX)) {
            env.push(json!({ "name": variable, "value": value }));
        }
    }
    for (variable, value) in [
        ("TEST_MESH_NETWORKS", &mesh.networks),
        ("TEST_MESH_CA", &mesh.ca),
        ("TEST_MESH_CERTIFICATE", &mesh.certificate),
        ("TEST_MESH_KEY", &mesh.key),
    ] {
        env.push(json!({ "name": variable, "value": value }));
    }
    env
}

fn field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } })
}

/// The port numbers of the app's containers, as the injectors tell the proxy.
fn app_ports(pod: &Value) -> Vec<Value> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten()
        .cloned()
        .collect()
}

/// Enough to hold the proxy, little enough to fill soon.
const OOM_LIMIT: &str = "192Mi";
