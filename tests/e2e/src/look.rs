//! A pod's status, as far as tests ask for it.

use std::{fs, path::PathBuf};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::Value;

/// How one container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `waiting`, `running` or `terminated`.
    pub state: &'static str,
    /// The exit code, once terminated.
    pub exit: Option<i32>,
    /// The reason the kubelet gives, if any.
    pub reason: String,
    /// The termination message, or the reason's.
    pub message: String,
    /// The reason of the end before this start, if there was one.
    pub last_reason: String,
    /// How often it was started again.
    pub restarts: i32,
}

/// The pod's containers, those of `initContainers` first.
pub fn containers(pod: &Pod) -> Vec<Container> {
    let Some(status) = &pod.status else { return Vec::new() };
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).map(Container::of).collect()
}

/// Whether this container is at work.
pub fn is_running(pod: &Pod, name: &str) -> bool {
    containers(pod).iter().any(|container| container.name == name && container.state == "running")
}

/// How this container ended, if it did.
pub fn ended(pod: &Pod, name: &str) -> Option<Container> {
    containers(pod).into_iter().find(|container| container.name == name && container.state == "terminated")
}

/// What Curfew wrote on the pod: the value of `curfew.dev/status`.
pub fn status_of(pod: &Pod) -> Option<Value> {
    let text = pod.metadata.annotations.as_ref()?.get("curfew.dev/status")?;
    serde_json::from_str(text).ok()
}

/// Whether this container is a native sidecar, and none of the others.
pub fn is_native(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let mut init = spec.init_containers.iter().flatten();
    init.any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
        && spec.containers.iter().all(|container| container.name != name)
}

/// The first process of a running container, by its folder in `/proc`, where the node is this machine.
pub fn process_of(pod: &Pod, name: &str) -> Option<PathBuf> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == name)?;
    status.state.as_ref()?.running.as_ref()?;
    let id = status.container_id.as_ref()?.rsplit('/').next()?;
    let here = |folder: &PathBuf| {
        fs::read_to_string(folder.join("cgroup")).is_ok_and(|cgroups| cgroups.contains(id))
    };
    let folders = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    folders.filter(here).min_by_key(|folder| folder.file_name()?.to_str()?.parse::<u32>().ok())
}

impl Container {
    fn of(status: &ContainerStatus) -> Self {
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.clone().and_then(|last| last.terminated);
        let (word, exit, reason, message) = match (state.terminated, state.waiting) {
            (Some(end), _) => ("terminated", Some(end.exit_code), end.reason, end.message),
            (None, Some(wait)) => ("waiting", None, wait.reason, wait.message),
            (None, None) => ("running", None, None, None),
        };
        Self {
            name: status.name.clone(),
            state: word,
            exit,
            reason: reason.unwrap_or_default(),
            message: message.unwrap_or_default(),
            last_reason: last.and_then(|end| end.reason).unwrap_or_default(),
            restarts: status.restart_count,
        }
    }
}
