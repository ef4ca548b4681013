//! The app's probes: Istio has them ask its agent, Linkerd lets them in by their paths.

use anyhow::Context;
use serde_json::{Value, json};

use super::list;
use crate::options::Annotations;

/// The probes and the last words of Istio's paths for them.
const PROBES: [(&str, &str); 3] =
    [("startupProbe", "startupz"), ("livenessProbe", "livez"), ("readinessProbe", "readyz")];

/// Turns the probes of the app's containers into questions to the agent; returns what it shall do for each path.
pub(super) fn rewrite(pod: &mut Value, annotations: Annotations<'_>) -> anyhow::Result<Vec<(String, Value)>> {
    let mut probers = Vec::new();
    if annotations.of_pod("sidecar.istio.io/rewriteAppHTTPProbers") == Some("false") {
        return Ok(probers);
    }
    for container in list(pod, "containers")? {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let ports = container["ports"].clone();
        for (field, word) in PROBES {
            let Some(probe) = container.get_mut(field).and_then(Value::as_object_mut) else { continue };
            let path = format!("/app-health/{name}/{word}");
            let asks = json!({ "path": path, "port": 15020, "scheme": "HTTP" });
            let Some(kind) =
                ["httpGet", "tcpSocket", "grpc"].into_iter().find(|kind| probe.contains_key(*kind))
            else {
                continue;
            };
            // In place, so that the order of the fields stays what it was.
            let mut prober = probe.get_mut(kind).map(Value::take).unwrap_or_default();
            prober["port"] = number(&prober["port"], &ports).with_context(|| {
                format!("container {name:?}: {field}.{kind}.port: there is no port of that name")
            })?;
            if kind == "httpGet" {
                probe.insert(kind.to_owned(), asks);
            } else {
                probe.remove(kind);
                probe.insert("httpGet".to_owned(), asks);
            }
            let mut does = json!({ kind: prober });
            if let Some(timeout) = probe.get("timeoutSeconds") {
                does["timeoutSeconds"] = timeout.clone();
            }
            probers.push((path, does));
        }
    }
    Ok(probers)
}

/// Port and path of each HTTP probe of the app's containers.
pub(super) fn http_paths(pod: &Value) -> Vec<Value> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let mut found = Vec::new();
    for container in containers {
        for (field, _) in PROBES {
            let Some(get) = container.get(field).and_then(|probe| probe.get("httpGet")) else { continue };
            let path = get["path"].as_str().unwrap_or("/");
            if let Some(port) = number(&get["port"], &container["ports"]) {
                found.push(json!({ "port": port, "path": path }));
            }
        }
    }
    found
}

/// A port's number, whether it is given so or by name.
fn number(port: &Value, ports: &Value) -> Option<Value> {
    if port.is_number() {
        return Some(port.clone());
    }
    let named = ports.as_array()?.iter().find(|known| known["name"] == *port)?;
    Some(named["containerPort"].clone())
}
