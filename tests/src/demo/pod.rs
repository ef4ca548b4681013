//! As much of a pod as a kubelet reads, and no more; what else is in the JSON stays in the JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A pod to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    /// What names it.
    pub(super) metadata: Metadata,
    /// What to run.
    pub(super) spec: Spec,
}

/// What names a pod.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    /// Its labels.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// What a pod runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    /// One after the other, first.
    #[serde(default)]
    pub(super) init_containers: Vec<Container>,
    /// All together, then.
    pub(super) containers: Vec<Container>,
    /// Its volumes.
    #[serde(default)]
    pub(super) volumes: Vec<Volume>,
    /// What becomes of a container that ended.
    #[serde(default)]
    pub(super) restart_policy: RestartPolicy,
}

/// What becomes of a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum RestartPolicy {
    /// It runs again.
    #[default]
    Always,
    /// It runs again unless it exited 0.
    OnFailure,
    /// It stays ended.
    Never,
}

/// One container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    /// Its name.
    pub(super) name: String,
    /// Its program and first arguments.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// More arguments.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// Its environment.
    #[serde(default)]
    pub(super) env: Vec<Env>,
    /// Where its volumes are.
    #[serde(default)]
    pub(super) volume_mounts: Vec<Mount>,
    /// What runs right after its start.
    #[serde(default)]
    pub(super) lifecycle: Option<Lifecycle>,
    /// Where it leaves its last words.
    #[serde(default)]
    pub(super) termination_message_path: Option<String>,
}

/// One environment variable; those with `valueFrom` are of no use here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Env {
    /// Its name.
    pub(super) name: String,
    /// Its value, if it is a plain one.
    #[serde(default)]
    pub(super) value: Option<String>,
}

/// Where a container has a volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mount {
    /// The volume.
    pub(super) name: String,
    /// The path in the container.
    pub(super) mount_path: String,
}

/// Hooks of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle {
    /// Runs right after its start; the next container waits for it.
    #[serde(default)]
    pub(super) post_start: Option<Hook>,
}

/// One hook.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Hook {
    /// The command, for the only kind of hook there is here.
    #[serde(default)]
    pub(super) exec: Option<Exec>,
}

/// A hook's command.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Exec {
    /// Its argv.
    #[serde(default)]
    pub(super) command: Vec<String>,
}

/// One volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    /// Its name.
    pub(super) name: String,
    /// The ConfigMap whose files it holds; any other volume is an empty folder here.
    #[serde(default)]
    pub(super) config_map: Option<ConfigMap>,
}

/// A volume's ConfigMap.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ConfigMap {
    /// Its name.
    pub(super) name: String,
}

// === impl Pod ===

impl Pod {
    /// Reads it from its JSON.
    ///
    /// # Errors
    /// When it is no pod.
    pub(super) fn from_json(json: &Value) -> serde_json::Result<Self> {
        Self::deserialize(json)
    }

    /// The Job it belongs to, for people: pods have no name before the API server gives them one.
    pub(super) fn job_name(&self) -> &str {
        self.metadata.labels.get("batch.kubernetes.io/job-name").map_or("pod", String::as_str)
    }
}

// === impl Container ===

impl Container {
    /// The whole command line.
    pub(super) fn argv(&self) -> impl Iterator<Item = &str> {
        self.command.iter().chain(&self.args).map(String::as_str)
    }

    /// The command of its postStart hook.
    pub(super) fn post_start(&self) -> Option<&[String]> {
        let exec = self.lifecycle.as_ref()?.post_start.as_ref()?.exec.as_ref()?;
        Some(&exec.command)
    }
}
