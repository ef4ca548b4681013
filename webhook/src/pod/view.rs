//! The borrowed types and their accessors.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    Object, Probe, RestartRule, Text, affinity,
    object::{nullable, object, objects},
};

/// A pod, or the pod template of a controller.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    /// `metadata`.
    #[serde(borrow, deserialize_with = "object")]
    pub metadata: Metadata<'a>,
    /// `spec`.
    #[serde(borrow, deserialize_with = "object")]
    pub spec: PodSpec<'a>,
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Whether it is there at all: pod templates may come without.
    #[serde(skip, default = "there")]
    pub is_there: bool,
    /// Absent while the API server has yet to make one of `generateName`.
    pub name: Option<Text<'a>>,
    /// Prefix of the name to come.
    pub generate_name: Option<Text<'a>>,
    /// Labels.
    #[serde(borrow, deserialize_with = "nullable")]
    pub labels: BTreeMap<Text<'a>, Text<'a>>,
    /// Annotations.
    #[serde(borrow, deserialize_with = "nullable")]
    pub annotations: BTreeMap<Text<'a>, Text<'a>>,
    /// Who owns the pod.
    #[serde(borrow, deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference<'a>>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    /// `Job`, `Workflow`, …
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// Its name.
    pub name: Text<'a>,
    /// Whether this owner controls the pod.
    pub controller: Option<bool>,
}

/// `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// Regular containers.
    #[serde(borrow, deserialize_with = "objects")]
    pub containers: Vec<Container<'a>>,
    /// Init containers, native sidecars among them.
    #[serde(borrow, deserialize_with = "objects")]
    pub init_containers: Vec<Container<'a>>,
    /// `Always` where absent.
    pub restart_policy: Option<Text<'a>>,
    /// The pod shares its node's network.
    pub host_network: Option<bool>,
    /// Operating system the pod asks for.
    pub os: Option<Os<'a>>,
    /// Labels a node must have.
    #[serde(borrow, deserialize_with = "nullable")]
    pub node_selector: BTreeMap<Text<'a>, Text<'a>>,
    /// What else its node must be like, raw: few pods say.
    pub affinity: Option<&'a RawValue>,
    /// Security settings all containers inherit.
    #[serde(deserialize_with = "nullable")]
    pub security_context: PodSecurityContext,
    /// Volumes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub volumes: Vec<Volume<'a>>,
    /// Secrets its images are pulled with.
    #[serde(borrow, deserialize_with = "nullable")]
    pub image_pull_secrets: Vec<PullSecret<'a>>,
    /// Requests and limits of all containers together (Kubernetes ≥ 1.32), raw.
    pub resources: Option<&'a RawValue>,
}

/// One of `spec.volumes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// An empty folder, raw.
    #[serde(rename = "emptyDir")]
    pub empty_dir: Option<&'a RawValue>,
    /// What it shows of the pod, raw.
    #[serde(rename = "downwardAPI")]
    pub downward_api: Option<&'a RawValue>,
}

/// One of `spec.imagePullSecrets`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PullSecret<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `spec.os`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    /// `linux` or `windows`.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `spec.securityContext`, as far as containers added here inherit from it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// Numeric user of every container that names none.
    pub run_as_user: Option<i64>,
    /// Only Windows pods have them.
    pub windows_options: Option<IgnoredAny>,
}

/// A regular or an init container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// Unique in the pod. Always there: before a container is edited, its name is tested.
    pub name: Text<'a>,
    /// Image reference.
    pub image: Option<Text<'a>>,
    /// Replaces the image's entrypoint; where absent the program to run is unknown here.
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub command: Vec<Text<'a>>,
    /// Arguments after the command.
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub args: Vec<Text<'a>>,
    /// Environment.
    #[serde(borrow, default, deserialize_with = "objects")]
    pub env: Vec<EnvVar<'a>>,
    /// Declared ports.
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub ports: Vec<ContainerPort<'a>>,
    /// Where set, replaces the pod's (Kubernetes ≥ 1.35; `Always` on an init container makes it a sidecar).
    pub restart_policy: Option<Text<'a>>,
    /// Exceptions to the restart policy by exit code (Kubernetes ≥ 1.35).
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub restart_policy_rules: Vec<RestartRule<'a>>,
    /// Liveness probe.
    pub liveness_probe: Option<Probe<'a>>,
    /// Readiness probe.
    pub readiness_probe: Option<Probe<'a>>,
    /// Startup probe.
    pub startup_probe: Option<Probe<'a>>,
    /// Hooks, raw: few decisions need them.
    pub lifecycle: Option<&'a RawValue>,
    /// Requests and limits, raw: they are copied as they are.
    pub resources: Option<&'a RawValue>,
    /// Mounted volumes.
    #[serde(borrow, default, deserialize_with = "nullable")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    /// Where the kubelet reads the termination message.
    pub termination_message_path: Option<Text<'a>>,
}

/// One environment variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its literal value; absent also where `valueFrom` gives one.
    pub value: Option<Text<'a>>,
    /// Where its value comes from otherwise.
    pub value_from: Option<IgnoredAny>,
}

/// One declared port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// Its number.
    pub container_port: u16,
}

/// One volume mount.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    /// The volume's name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Where it appears.
    pub mount_path: Text<'a>,
}

impl<'a> Pod<'a> {
    /// Reads the view from a pod's JSON.
    ///
    /// # Errors
    /// It is no JSON, or a field this view knows has another type than the Kubernetes API gives it.
    pub fn read(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json).map(|Object(pod)| pod)
    }

    /// The name, or the prefix it will be made of.
    pub fn display_name(&self) -> &str {
        let Metadata { name, generate_name, .. } = &self.metadata;
        name.as_deref().or(generate_name.as_deref()).unwrap_or("(unnamed)")
    }

    /// `spec.restartPolicy` with the API's default.
    pub fn restart_policy(&self) -> &str {
        self.spec.restart_policy.as_deref().unwrap_or("Always")
    }

    /// The owner that controls the pod.
    pub fn controller(&self) -> Option<&OwnerReference<'a>> {
        self.metadata.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// The Job the pod belongs to, by the label the Job controller sets (both names are in use).
    pub fn job_name(&self) -> Option<&str> {
        self.metadata.label("batch.kubernetes.io/job-name").or_else(|| self.metadata.label("job-name"))
    }

    /// The pod asks for a Windows node.
    pub fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name.eq_ignore_ascii_case("windows"))
            || affinity::OS
                .iter()
                .any(|label| self.spec.node_selector.get(*label).is_some_and(|os| *os == "windows"))
            || self.spec.security_context.windows_options.is_some()
            || self.spec.affinity.is_some_and(|raw| affinity::asks_for_windows(raw.get()))
    }
}

impl PodSpec<'_> {
    /// Requests or limits are set for all containers together.
    pub fn has_resources(&self) -> bool {
        self.resources.is_some_and(|raw| !["null", "{}"].contains(&raw.get()))
    }
}

impl Metadata<'_> {
    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|value| &**value)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|value| &**value)
    }
}

impl<'a> Container<'a> {
    /// Requests and limits as they stand; none where there is nothing in them.
    pub fn resources(&self) -> Option<Value> {
        let resources: Value = serde_json::from_str(self.resources?.get()).ok()?;
        resources.as_object().is_some_and(|lists| !lists.is_empty()).then_some(resources)
    }

    /// An init container that keeps running beside the mains.
    pub fn is_native_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// Where the kubelet reads the termination message, with the API's default.
    pub fn termination_message_path(&self) -> &str {
        self.termination_message_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or("/dev/termination-log")
    }

    /// The literal value of an environment variable.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        // Of two of the same name the last one holds.
        self.env.iter().rfind(|var| var.name == name).and_then(|var| var.value.as_deref())
    }

    /// Startup, readiness and liveness probe, those that are set.
    pub fn probes(&self) -> impl Iterator<Item = &Probe<'a>> {
        [&self.startup_probe, &self.readiness_probe, &self.liveness_probe].into_iter().flatten()
    }
}

fn there() -> bool {
    true
}
