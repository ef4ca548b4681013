//! The borrowed types and their accessors.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A pod, or the pod template of a controller.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    /// `metadata`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
    /// `spec`.
    #[serde(borrow, deserialize_with = "nullable")]
    pub spec: PodSpec<'a>,
}

/// `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Absent while the API server has yet to make one of `generateName`.
    pub name: Option<&'a str>,
    /// Prefix of the name to come.
    pub generate_name: Option<&'a str>,
    /// Labels.
    #[serde(borrow, deserialize_with = "nullable")]
    pub labels: BTreeMap<&'a str, &'a str>,
    /// Annotations.
    #[serde(borrow, deserialize_with = "nullable")]
    pub annotations: BTreeMap<&'a str, &'a str>,
    /// Who owns the pod.
    #[serde(borrow, deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference<'a>>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OwnerReference<'a> {
    /// `Job`, `Workflow`, …
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether this owner controls the pod.
    pub controller: Option<bool>,
}

/// `spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec<'a> {
    /// Regular containers.
    #[serde(borrow, deserialize_with = "nullable")]
    pub containers: Vec<Container<'a>>,
    /// Init containers, native sidecars among them.
    #[serde(borrow, deserialize_with = "nullable")]
    pub init_containers: Vec<Container<'a>>,
    /// `Always` where absent.
    pub restart_policy: Option<&'a str>,
    /// The pod shares its node's network.
    pub host_network: Option<bool>,
    /// Operating system the pod asks for.
    pub os: Option<Os<'a>>,
    /// Labels a node must have.
    #[serde(borrow, deserialize_with = "nullable")]
    pub node_selector: BTreeMap<&'a str, &'a str>,
    /// Security settings all containers inherit.
    #[serde(deserialize_with = "nullable")]
    pub security_context: PodSecurityContext,
    /// Volumes, as they stand.
    #[serde(borrow, deserialize_with = "nullable")]
    pub volumes: Vec<Volume<'a>>,
}

/// The name of one of `spec.volumes`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume<'a> {
    /// Its name.
    pub name: &'a str,
}

/// `spec.os`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Os<'a> {
    /// `linux` or `windows`.
    pub name: &'a str,
}

/// `spec.securityContext`, as far as containers added here inherit from it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// Numeric user of every container that names none.
    pub run_as_user: Option<i64>,
    /// Only Windows pods have them.
    pub windows_options: Option<serde::de::IgnoredAny>,
}

/// A regular or an init container.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container<'a> {
    /// Unique in the pod.
    pub name: &'a str,
    /// Image reference.
    pub image: Option<&'a str>,
    /// Replaces the image's entrypoint; where absent the program to run is unknown here.
    #[serde(borrow, deserialize_with = "nullable")]
    pub command: Vec<&'a str>,
    /// Arguments after the command.
    #[serde(borrow, deserialize_with = "nullable")]
    pub args: Vec<&'a str>,
    /// Environment.
    #[serde(borrow, deserialize_with = "nullable")]
    pub env: Vec<EnvVar<'a>>,
    /// Declared ports.
    #[serde(borrow, deserialize_with = "nullable")]
    pub ports: Vec<ContainerPort<'a>>,
    /// Where set, replaces the pod's (Kubernetes ≥ 1.35; `Always` on an init container makes it a sidecar).
    pub restart_policy: Option<&'a str>,
    /// Exceptions to the restart policy by exit code (Kubernetes ≥ 1.35).
    #[serde(borrow, deserialize_with = "nullable")]
    pub restart_policy_rules: Vec<RestartRule<'a>>,
    /// Liveness probe.
    pub liveness_probe: Option<Probe>,
    /// Readiness probe.
    pub readiness_probe: Option<Probe>,
    /// Startup probe.
    pub startup_probe: Option<Probe>,
    /// Requests and limits, raw: they are copied as they are.
    pub resources: Option<Value>,
    /// Mounted volumes.
    #[serde(borrow, deserialize_with = "nullable")]
    pub volume_mounts: Vec<VolumeMount<'a>>,
    /// Where the kubelet reads the termination message.
    pub termination_message_path: Option<&'a str>,
}

/// One environment variable.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EnvVar<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its literal value; absent also where `valueFrom` gives one.
    pub value: Option<&'a str>,
}

/// One declared port.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// Its number.
    pub container_port: u16,
}

/// One of `restartPolicyRules`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestartRule<'a> {
    /// `Restart` or `RestartAllContainers`.
    pub action: &'a str,
    /// Which exit codes it is about.
    #[serde(borrow)]
    pub exit_codes: Option<RestartRuleExitCodes<'a>>,
}

/// `exitCodes` of a restart rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RestartRuleExitCodes<'a> {
    /// `In` or `NotIn`.
    pub operator: &'a str,
    /// The codes.
    #[serde(deserialize_with = "nullable")]
    pub values: Vec<i64>,
}

/// One volume mount.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeMount<'a> {
    /// The volume's name.
    pub name: &'a str,
    /// Where it appears.
    pub mount_path: &'a str,
}

/// A probe as it stands: startup probes are cloned from it, so nothing of it may be lost.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Probe(pub serde_json::Map<String, Value>);

impl<'a> Pod<'a> {
    /// Reads the view from a raw pod.
    ///
    /// # Errors
    /// A field this view knows has another type than the Kubernetes API gives it.
    pub fn read(raw: &'a Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(raw)
    }

    /// The name, or the prefix it will be made of.
    pub fn display_name(&self) -> &'a str {
        self.metadata.name.or(self.metadata.generate_name).unwrap_or("(unnamed)")
    }

    /// `spec.restartPolicy` with the API's default.
    pub fn restart_policy(&self) -> &'a str {
        self.spec.restart_policy.unwrap_or("Always")
    }

    /// The owner that controls the pod.
    pub fn controller(&self) -> Option<OwnerReference<'a>> {
        self.metadata.owner_references.iter().copied().find(|owner| owner.controller == Some(true))
    }

    /// The Job the pod belongs to, by the label the Job controller sets (both names are in use).
    pub fn job_name(&self) -> Option<&'a str> {
        let labels = &self.metadata.labels;
        labels.get("batch.kubernetes.io/job-name").or_else(|| labels.get("job-name")).copied()
    }

    /// The pod asks for a Windows node.
    pub fn is_windows(&self) -> bool {
        self.spec.os.is_some_and(|os| os.name.eq_ignore_ascii_case("windows"))
            || ["kubernetes.io/os", "beta.kubernetes.io/os"]
                .iter()
                .any(|label| self.spec.node_selector.get(label).is_some_and(|os| *os == "windows"))
            || self.spec.security_context.windows_options.is_some()
    }
}

impl<'a> Container<'a> {
    /// An init container that keeps running beside the mains.
    pub fn is_native_sidecar(&self) -> bool {
        self.restart_policy == Some("Always")
    }

    /// Where the kubelet reads the termination message, with the API's default.
    pub fn termination_message_path(&self) -> &'a str {
        self.termination_message_path.filter(|path| !path.is_empty()).unwrap_or("/dev/termination-log")
    }

    /// The literal value of an environment variable.
    pub fn env_value(&self, name: &str) -> Option<&'a str> {
        // Of two of the same name the last one holds.
        self.env.iter().rfind(|var| var.name == name).and_then(|var| var.value)
    }

    /// Startup, readiness and liveness probe, those that are set.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        [&self.startup_probe, &self.readiness_probe, &self.liveness_probe].into_iter().flatten()
    }
}

impl Probe {
    /// `path` of the probe's `httpGet`.
    pub fn http_path(&self) -> Option<&str> {
        self.0.get("httpGet")?.get("path")?.as_str()
    }

    /// `port` of the probe's `httpGet`, where it is a number.
    pub fn http_port(&self) -> Option<u64> {
        self.0.get("httpGet")?.get("port")?.as_u64()
    }

    /// Seconds after the container's start until the kubelet gives up on it, with the API's defaults
    /// (`initialDelaySeconds` 0, `periodSeconds` 10, `failureThreshold` 3).
    pub fn budget_seconds(&self) -> u64 {
        let number = |key: &str, default: u64| self.0.get(key).and_then(Value::as_u64).unwrap_or(default);
        let tries = number("periodSeconds", 10).saturating_mul(number("failureThreshold", 3));
        number("initialDelaySeconds", 0).saturating_add(tries)
    }

    /// `periodSeconds`, at least 1.
    pub fn period_seconds(&self) -> u64 {
        self.0.get("periodSeconds").and_then(Value::as_u64).unwrap_or(10).max(1)
    }
}

/// `null` reads as the default: Kubernetes objects written by Go programs are full of `null` lists.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
