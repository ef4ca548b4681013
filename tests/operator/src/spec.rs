//! A TestRun and its spec, as far as the operator reads them. What only passes through to a pod stays JSON, so that no
//! field of Kubernetes is lost on the way.

use std::{collections::BTreeMap, fmt};

use anyhow::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Group and version of both kinds.
pub(crate) const API_VERSION: &str = "k6.io/v1alpha1";

/// A TestRun, or a K6, its name until v0.0.18.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestRun {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) script: ScriptSpec,
    pub(crate) parallelism: i64,
    pub(crate) separate: bool,
    pub(crate) arguments: String,
    pub(crate) args: Vec<String>,
    pub(crate) ports: Vec<Value>,
    pub(crate) initializer: Option<PodSettings>,
    pub(crate) starter: PodSettings,
    pub(crate) runner: PodSettings,
    pub(crate) quiet: String,
    pub(crate) paused: String,
    pub(crate) scuttle: Scuttle,
    pub(crate) cleanup: String,
    pub(crate) token: String,
    pub(crate) test_run_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ScriptSpec {
    pub(crate) volume_claim: FileIn,
    pub(crate) config_map: FileIn,
    pub(crate) local_file: String,
}

/// A file in a ConfigMap or on a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FileIn {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) read_only: bool,
}

/// What a TestRun says of one of its three kinds of pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSettings {
    pub(crate) disabled: bool,
    pub(crate) metadata: Metadata,
    pub(crate) image: String,
    pub(crate) image_pull_policy: Option<Value>,
    pub(crate) image_pull_secrets: Option<Value>,
    pub(crate) service_account_name: String,
    pub(crate) automount_service_account_token: String,
    pub(crate) scheduler_name: String,
    pub(crate) priority_class_name: Option<Value>,
    pub(crate) affinity: Option<Value>,
    pub(crate) node_selector: Option<Value>,
    pub(crate) tolerations: Option<Value>,
    pub(crate) topology_spread_constraints: Option<Value>,
    pub(crate) security_context: Option<Value>,
    pub(crate) container_security_context: Option<Value>,
    pub(crate) resources: Option<Value>,
    pub(crate) env: Vec<Value>,
    pub(crate) env_from: Option<Value>,
    pub(crate) liveness_probe: Option<Value>,
    pub(crate) readiness_probe: Option<Value>,
    pub(crate) init_containers: Vec<Value>,
    pub(crate) volumes: Vec<Value>,
    pub(crate) volume_mounts: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The deprecated support for Envoy: a program in front of every command.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Scuttle {
    pub(crate) enabled: String,
    pub(crate) envoy_admin_api: String,
    pub(crate) istio_quit_api: String,
    pub(crate) wait_for_envoy_timeout: String,
    pub(crate) never_kill_istio: bool,
    pub(crate) never_kill_istio_on_failure: bool,
    pub(crate) disable_logging: bool,
    pub(crate) start_without_envoy: bool,
    pub(crate) generic_quit_endpoint: String,
    pub(crate) quit_without_envoy_timeout: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) stage: Stage,
    pub(crate) conditions: Vec<Condition>,
}

/// Go's `strconv.ParseBool` with its error ignored, as the operator ignores it.
pub(crate) fn parse_bool(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True"].contains(&text)
}

/// A flag that is a string in the CRD: empty means what the operator means by default.
pub(crate) fn flag(text: &str, default: bool) -> bool {
    if text.is_empty() { default } else { parse_bool(text) }
}

// === impl TestRun ===

impl fmt::Display for TestRun {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

impl TestRun {
    /// Reads an object of the API server.
    pub(crate) fn read(kind: &str, object: DynamicObject) -> anyhow::Result<Self> {
        let name = object.metadata.name.unwrap_or_default();
        let part = |field: &str| match &object.data[field] {
            Value::Null => json!({}),
            value => value.clone(),
        };
        let spec = serde_json::from_value(part("spec"))
            .with_context(|| format!("the spec of the {kind} {name} can't be read"))?;
        let status = serde_json::from_value(part("status"))
            .with_context(|| format!("the status of the {kind} {name} can't be read"))?;
        let namespace = object.metadata.namespace.unwrap_or_default();
        let uid = object.metadata.uid.unwrap_or_default();
        Ok(Self { kind: kind.to_owned(), name, namespace, uid, spec, status })
    }

    /// The settings of the initializer: its own, or all of the runner's.
    pub(crate) fn initializer(&self) -> &PodSettings {
        self.spec.initializer.as_ref().unwrap_or(&self.spec.runner)
    }

    /// Selects its runners' pods, Jobs and Services.
    pub(crate) fn runner_selector(&self) -> String {
        format!("app=k6,k6_cr={},runner=true", self.name)
    }
}

#[cfg(test)]
pub(crate) fn sample(spec: Value) -> TestRun {
    TestRun {
        kind: "TestRun".to_owned(),
        name: "sample".to_owned(),
        namespace: "load".to_owned(),
        uid: "5c045a1f".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        status: Status::default(),
    }
}
