//! What a plan says it touches.

use curfew::plan::{Plan, REAPER_CONTAINER};
use serde_json::Value;

pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The places a plan names.
pub(crate) fn places(plan: &Plan, pod: &Value) -> Vec<String> {
    let mut places = vec![
        "/metadata/labels/curfew.dev~1applied".to_owned(),
        "/metadata/labels/curfew.dev~1reaper".to_owned(),
        "/metadata/annotations/curfew.dev~1status".to_owned(),
    ];
    places.extend(plan.edits.annotations.keys().map(|key| format!("/metadata/annotations/{}", escaped(key))));
    places.extend(
        plan.edits.remove_annotations.iter().map(|key| format!("/metadata/annotations/{}", escaped(key))),
    );
    if plan.edits.install.is_some() {
        places.extend(["/spec/volumes".to_owned(), "/spec/initContainers".to_owned()]);
    }
    if !plan.edits.pull_secrets.is_empty() {
        places.push("/spec/imagePullSecrets".to_owned());
    }
    for wrap in &plan.edits.wraps {
        for field in ["command", "volumeMounts", "startupProbe"] {
            places.push(format!("/spec/containers/{}/{field}", wrap.index));
        }
    }
    // One that is there is renewed or taken out.
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let there = containers.enumerate().find(|(_, container)| is_a_reaper(container)).map(|(index, _)| index);
    places.extend(there.map(|index| format!("/spec/containers/{index}")));
    if plan.edits.reaper.is_some() {
        places.push("/spec/volumes".to_owned());
        places.push("/spec/containers/-".to_owned());
    }
    places.extend(plan.edits.env.iter().map(|variable| format!("/spec/containers/{}/env", variable.index)));
    if plan.edits.native.is_some() {
        // What happens to containers that move, and to those that do not, is told in `native`.
        places.extend(["containers", "initContainers", "volumes"].map(|list| format!("/spec/{list}")));
    }
    places
}

/// Lists a plan adds to.
pub(crate) fn grown_lists(plan: &Plan) -> Vec<String> {
    if plan.edits.native.is_some() {
        return ["/spec/volumes", "/spec/imagePullSecrets"].map(str::to_owned).into();
    }
    let wraps = plan.edits.wraps.iter().map(|wrap| format!("/spec/containers/{}/volumeMounts", wrap.index));
    let env = plan.edits.env.iter().map(|variable| format!("/spec/containers/{}/env", variable.index));
    let lists = ["/spec/volumes", "/spec/initContainers", "/spec/imagePullSecrets"];
    lists.map(str::to_owned).into_iter().chain(wraps).chain(env).collect()
}

/// An environment variable the plan sets, or the installer of an earlier version.
pub(crate) fn is_named(item: &Value, plan: &Plan) -> bool {
    item["name"] == curfew::plan::INSTALLER
        || plan.edits.env.iter().any(|variable| item["name"] == *variable.name)
}

/// A copy without what is at these places, and without a reaper and maps that only they filled.
pub(crate) fn without(pod: &Value, places: &[String]) -> Value {
    let mut pod = pod.clone();
    for place in places {
        let Some((parent, key)) = place.rsplit_once('/') else { continue };
        let key = key.replace("~1", "/").replace("~0", "~");
        if let Some(parent) = pod.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.shift_remove(&key);
        }
    }
    if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
        containers.retain(|container| !is_a_reaper(container));
    }
    for map in ["labels", "annotations"] {
        let metadata = pod["metadata"].as_object_mut().expect("metadata");
        if metadata.get(map).is_some_and(|map| map.as_object().is_some_and(serde_json::Map::is_empty)) {
            metadata.shift_remove(map);
        }
    }
    pod
}

/// Whether a container is the reaper.
pub(crate) fn is_a_reaper(container: &Value) -> bool {
    container["name"] == REAPER_CONTAINER && container["command"][0] == "/curfew-reaper"
}
