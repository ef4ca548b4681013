//! How the wrapper comes into the pod, and with which rights.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    config::{Delivery, Settings},
    pod::{Container, Pod, Quantity, VolumeMount},
};

/// Where mains find the wrapper.
pub const BIN_DIR: &str = "/.curfew/bin";
/// The wrapper, as commands name it.
pub const REAPER: &str = "/.curfew/bin/curfew-reaper";
/// Where wrappers of one pod tell each other that they are done.
pub const RUN_DIR: &str = "/.curfew/run";
/// Volume behind [`BIN_DIR`].
pub const BIN_VOLUME: &str = "curfew-bin";
/// Volume behind [`RUN_DIR`].
pub const RUN_VOLUME: &str = "curfew-run";
/// Empty volume that keeps the ServiceAccount's token out of what Curfew adds.
pub const TOKEN_VOLUME: &str = "curfew-no-token";
/// Init container that copies the wrapper.
pub const INSTALLER: &str = "curfew-install";

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the image holds the binary.
const IN_IMAGE: &str = "/curfew-reaper";
/// Any but 0; the image's own user is the same.
const USER: i64 = 65532;

/// What is added to the pod so that the wrapper is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Volumes.
    pub volumes: Vec<Value>,
    /// The init container that copies it; absent where an image volume brings it.
    pub init_container: Option<Value>,
}

/// Plans the delivery. `shared`: mains need a common folder.
pub(super) fn install(
    pod: &Pod<'_>,
    mains: &[(usize, &Container<'_>)],
    shared: bool,
    settings: &Settings,
) -> Install {
    let reaper = &settings.reaper;
    let mut volumes = Vec::new();
    let init_container = match reaper.delivery {
        Delivery::ImageVolume => {
            let image = json!({"reference": reaper.image, "pullPolicy": reaper.image_pull_policy});
            volumes.push(json!({"name": BIN_VOLUME, "image": image}));
            None
        }
        Delivery::InitContainer => {
            // The binary is under half a MiB; whoever fills the volume is evicted, not the node.
            volumes.push(json!({"name": BIN_VOLUME, "emptyDir": {"sizeLimit": "2Mi"}}));
            volumes.push(json!({"name": TOKEN_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}}));
            Some(installer(pod, mains, settings))
        }
    };
    if shared {
        volumes.push(json!({"name": RUN_VOLUME, "emptyDir": {"sizeLimit": "1Mi"}}));
    }
    Install { volumes, init_container }
}

/// Mounts a main needs.
pub(super) fn mounts(shared: bool) -> Vec<Value> {
    let mut mounts = vec![json!({"name": BIN_VOLUME, "mountPath": BIN_DIR, "readOnly": true})];
    if shared {
        mounts.push(json!({"name": RUN_VOLUME, "mountPath": RUN_DIR}));
    }
    mounts
}

/// Why the wrapper cannot come into the pod, if so: something else stands in its place.
pub(super) fn conflict(pod: &Pod<'_>, mains: &[(usize, &Container<'_>)]) -> Option<String> {
    let mounts =
        mains.iter().flat_map(|(_, main)| main.volume_mounts.iter().map(move |mount| (&main.name, mount)));
    let own_mount = |mount: &VolumeMount<'_>| [BIN_VOLUME, RUN_VOLUME].contains(&&*mount.name);
    if let Some((main, mount)) =
        mounts.into_iter().find(|(_, m)| !own_mount(m) && is_in_the_way(&m.mount_path))
    {
        return Some(format!("container {main} has mounted its own volume at {}; move it", mount.mount_path));
    }
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let namesake = |container: &&Container<'_>| container.name == INSTALLER && !is_installer(container);
    if containers.into_iter().any(|container| namesake(&container)) {
        return Some(format!("container name {INSTALLER} is taken; rename it"));
    }
    let ours = pod.spec.init_containers.iter().any(is_installer)
        || mains.iter().any(|(_, main)| main.command.first().is_some_and(|word| *word == REAPER));
    let taken = pod.spec.volumes.iter().find(|v| [BIN_VOLUME, RUN_VOLUME, TOKEN_VOLUME].contains(&&*v.name));
    taken.filter(|_| !ours).map(|volume| format!("volume name {} is taken; rename it", volume.name))
}

/// At, above or below the folders Curfew mounts.
fn is_in_the_way(path: &str) -> bool {
    let parts = path.split('/').filter(|part| !["", "."].contains(part));
    parts.into_iter().next() == Some(".curfew")
}

fn is_installer(container: &Container<'_>) -> bool {
    container.command == [IN_IMAGE, "install", BIN_DIR]
}

fn installer(pod: &Pod<'_>, mains: &[(usize, &Container<'_>)], settings: &Settings) -> Value {
    let mut container = Map::new();
    let mut set = |key: &str, value: Value| container.insert(key.to_owned(), value);
    set("name", json!(INSTALLER));
    set("image", json!(settings.reaper.image));
    set("imagePullPolicy", json!(settings.reaper.image_pull_policy));
    set("command", json!([IN_IMAGE, "install", BIN_DIR]));
    if let Some(resources) = resources(mains, settings) {
        set("resources", resources);
    }
    set("securityContext", security_context(pod));
    set("terminationMessagePolicy", json!("FallbackToLogsOnError"));
    set(
        "volumeMounts",
        json!([
            {"name": BIN_VOLUME, "mountPath": BIN_DIR},
            // The API server mounts a token wherever nothing is mounted yet.
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_PATH, "readOnly": true},
        ]),
    );
    Value::Object(container)
}

/// Pod Security `restricted`. The user is the image's own (OpenShift assigns one), unless the pod forces root on it.
fn security_context(pod: &Pod<'_>) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if pod.spec.security_context.run_as_user == Some(0) {
        context["runAsUser"] = json!(USER);
    }
    context
}

/// Those of the largest main: an init container's request is a maximum over the pod, not a summand, so this asks
/// the cluster for nothing more, keeps the pod's QoS class, and passes every LimitRange the main passes.
fn resources(mains: &[(usize, &Container<'_>)], settings: &Settings) -> Option<Value> {
    if let Some(resources) = &settings.reaper.resources {
        return Some(json!(resources));
    }
    let size = |resources: &Value, name: &str| {
        ["limits", "requests"]
            .iter()
            .filter_map(|list| Quantity::parse(resources.get(list)?.get(name)?.as_str()?))
            .next()
    };
    let with_size = mains.iter().filter_map(|(_, main)| {
        let resources = main.resources()?;
        Some(((size(&resources, "memory"), size(&resources, "cpu")), resources))
    });
    with_size
        .reduce(|largest, next| if next.0 > largest.0 { next } else { largest })
        .map(|(_, resources)| compute_only(&resources))
}

/// Without devices, huge pages and claims: copying a file needs none.
fn compute_only(resources: &Value) -> Value {
    let lists = ["limits", "requests"].into_iter().filter_map(|list| {
        let amounts = resources.get(list)?.as_object()?.iter();
        let kept: Map<_, _> = amounts
            .filter(|(name, _)| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()))
            .map(|(name, amount)| (name.clone(), amount.clone()))
            .collect();
        (!kept.is_empty()).then(|| (list.to_owned(), Value::Object(kept)))
    });
    Value::Object(lists.collect())
}
