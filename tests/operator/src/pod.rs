//! What the Jobs of all roles have in common.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    script::Script,
    spec::{API_VERSION, PodSettings, Scuttle, TestRun, flag, parse_bool},
};

/// Labels by name. They tell the TestRun, not the role: only runners have one more.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a role adds to the Job that every role has.
pub(crate) struct Role<'a> {
    /// The Job's name.
    pub(crate) name: String,
    pub(crate) settings: &'a PodSettings,
    pub(crate) labels: Labels,
    pub(crate) hostname: Option<String>,
    pub(crate) affinity: Option<Value>,
    pub(crate) container: Value,
    pub(crate) init_containers: Vec<Value>,
    pub(crate) volumes: Vec<Value>,
}

/// The operator's labels and the user's, who can add but not change.
pub(crate) fn labels(run: &TestRun, more: &[(&str, &str)], settings: &PodSettings) -> Labels {
    let mut labels = settings.metadata.labels.clone();
    let own = [("app", "k6"), ("k6_cr", &run.name)];
    labels.extend(own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    labels
}

/// The Job of a role. Its labels and annotations are its pod's, too.
pub(crate) fn job(run: &TestRun, role: Role<'_>) -> Value {
    let settings = role.settings;
    let annotations = &settings.metadata.annotations;
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    without_nulls(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": role.name,
            "namespace": run.namespace,
            "labels": role.labels,
            "annotations": annotations,
            "ownerReferences": [owner(run)],
        },
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": role.labels, "annotations": annotations},
                "spec": {
                    "automountServiceAccountToken": flag(&settings.automount_service_account_token, true),
                    "serviceAccountName": or(&settings.service_account_name, "default"),
                    "schedulerName": or(&settings.scheduler_name, "default-scheduler"),
                    "hostname": role.hostname,
                    "restartPolicy": "Never",
                    "affinity": role.affinity.as_ref().or(settings.affinity.as_ref()),
                    "nodeSelector": settings.node_selector,
                    "tolerations": settings.tolerations,
                    "topologySpreadConstraints": settings.topology_spread_constraints,
                    "securityContext": settings.security_context.clone().unwrap_or_else(|| json!({})),
                    "imagePullSecrets": settings.image_pull_secrets,
                    "priorityClassName": settings.priority_class_name,
                    "initContainers": role.init_containers,
                    "containers": [role.container],
                    "volumes": role.volumes,
                },
            },
        },
    }))
}

/// Whose object it is: with the TestRun it goes, too.
pub(crate) fn owner(run: &TestRun) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": run.kind,
        "name": run.name,
        "uid": run.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The user's init containers, each with the script's volume mounted.
pub(crate) fn init_containers(settings: &PodSettings, script: &Script) -> Vec<Value> {
    let one = |(index, wanted): (usize, &Value)| {
        let name = wanted["name"].as_str().filter(|name| !name.is_empty());
        let mounts =
            script.mounts().into_iter().chain(wanted["volumeMounts"].as_array().cloned().unwrap_or_default());
        let mut container = wanted.clone();
        container["name"] = name.map_or_else(|| format!("k6-init-{index}"), str::to_owned).into();
        container["volumeMounts"] = mounts.collect();
        container["imagePullPolicy"] = settings.image_pull_policy.clone().into();
        container["securityContext"] = container_security_context(settings);
        container
    };
    settings.init_containers.iter().enumerate().map(one).collect()
}

pub(crate) fn container_security_context(settings: &PodSettings) -> Value {
    settings.container_security_context.clone().unwrap_or_else(|| json!({}))
}

/// The image named, or the one of this role.
pub(crate) fn image<'a>(settings: &'a PodSettings, default: &'a str) -> &'a str {
    if settings.image.is_empty() { default } else { &settings.image }
}

/// Port 6565 for k6, and the user's.
pub(crate) fn ports(run: &TestRun) -> Vec<Value> {
    [json!({"containerPort": 6565})].into_iter().chain(run.spec.ports.clone()).collect()
}

/// A command, behind scuttle if it is wanted.
pub(crate) fn command(scuttle: &Scuttle, words: &[&str]) -> Vec<String> {
    let first = parse_bool(&scuttle.enabled).then_some("scuttle");
    first.into_iter().chain(words.iter().copied()).map(str::to_owned).collect()
}

/// What scuttle is told, if it is wanted.
pub(crate) fn scuttle_env(scuttle: &Scuttle) -> Vec<Value> {
    if !parse_bool(&scuttle.enabled) {
        return Vec::new();
    }
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let yes = |wanted: bool| wanted.then(|| "true".to_owned());
    let all = [
        ("ENVOY_ADMIN_API", Some(or(&scuttle.envoy_admin_api, "http://127.0.0.1:15000"))),
        ("ISTIO_QUIT_API", Some(or(&scuttle.istio_quit_api, "http://127.0.0.1:15020"))),
        ("WAIT_FOR_ENVOY_TIMEOUT", Some(or(&scuttle.wait_for_envoy_timeout, "15"))),
        ("NEVER_KILL_ISTIO", yes(scuttle.never_kill_istio)),
        ("NEVER_KILL_ISTIO_ON_FAILURE", yes(scuttle.never_kill_istio_on_failure)),
        ("SCUTTLE_LOGGING", scuttle.disable_logging.then(|| "false".to_owned())),
        ("START_WITHOUT_ENVOY", yes(scuttle.start_without_envoy)),
        ("GENERIC_QUIT_ENDPOINT", some(&scuttle.generic_quit_endpoint)),
        ("QUIT_WITHOUT_ENVOY_TIMEOUT", some(&scuttle.quit_without_envoy_timeout)),
    ];
    let set = all.into_iter().filter_map(|(name, value)| Some(json!({"name": name, "value": value?})));
    set.collect()
}

/// A field that isn't set is not sent, as Go leaves it out.
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    #[test]
    fn users_add_labels_but_do_not_change_the_operators() {
        let run =
            sample(json!({"runner": {"metadata": {"labels": {"app": "mine", "team": "a", "runner": "no"}}}}));
        let labels = labels(&run, &[("runner", "true")], &run.spec.runner);
        let expected = [("app", "k6"), ("k6_cr", "sample"), ("runner", "true"), ("team", "a")];
        assert!(labels.iter().map(|(key, value)| (&**key, &**value)).eq(expected));
    }

    #[test]
    fn an_init_container_gets_the_script_a_name_and_the_pods_settings() {
        let run = sample(json!({
            "script": {"configMap": {"name": "scripts"}},
            "runner": {
                "imagePullPolicy": "Never",
                "initContainers": [{"image": "i", "restartPolicy": "Always", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            },
        }));
        let script = Script::read(&run.spec.script).unwrap();
        let containers = init_containers(&run.spec.runner, &script);
        let expected = json!([{
            "image": "i",
            "restartPolicy": "Always",
            "volumeMounts": [
                {"name": "k6-test-volume", "mountPath": "/test", "readOnly": true},
                {"name": "v", "mountPath": "/v"},
            ],
            "name": "k6-init-0",
            "imagePullPolicy": "Never",
            "securityContext": {},
        }]);
        assert_eq!(Value::from(containers), expected);
    }

    #[test]
    fn scuttle_goes_in_front_and_is_told_what_to_do() {
        let scuttle = Scuttle { enabled: "true".to_owned(), disable_logging: true, ..Scuttle::default() };
        assert_eq!(command(&scuttle, &["k6", "run"]), ["scuttle", "k6", "run"]);
        let names: Vec<_> = scuttle_env(&scuttle).iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["ENVOY_ADMIN_API", "ISTIO_QUIT_API", "WAIT_FOR_ENVOY_TIMEOUT", "SCUTTLE_LOGGING"]);
        assert_eq!(scuttle_env(&Scuttle::default()), [Value::Null; 0]);
    }
}
