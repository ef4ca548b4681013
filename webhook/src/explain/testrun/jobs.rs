//! What k6-operator makes of a TestRun: a Job for each role.
//!
//! As its version 1.6 does, in all that Curfew, a mesh or the API server goes by. Of commands that is the program and what
//! runs it: k6's own flags, and what the shells do besides, are left out.

use std::iter::once;

use serde_json::{Map, Value, json};

use super::{CURL, K6, Role, parallelism, script::Script};
use crate::explain::containers::{name, text};

/// The Jobs of a TestRun, in the order they are made. Runners differ by their number alone: the first stands for all.
pub(in crate::explain) fn jobs(run: &Value) -> Vec<(Role, Value)> {
    let spec = &run["spec"];
    // Without settings of its own it has all of the runners', labels and annotations among them.
    let initializer = if spec["initializer"].is_null() { &spec["runner"] } else { &spec["initializer"] };
    let all = [
        (Role::Initializer, initializer),
        (Role::Runner(parallelism(run)), &spec["runner"]),
        (Role::Starter, &spec["starter"]),
    ];
    let disabled = initializer["disabled"] == true;
    let made = all.into_iter().filter(|(role, _)| *role != Role::Initializer || !disabled);
    made.map(|(role, settings)| (role, job(run, role, settings))).collect()
}

fn job(run: &Value, role: Role, settings: &Value) -> Value {
    let (job, is_runner) = (format!("{}-{}", name(run), role.suffix()), matches!(role, Role::Runner(_)));
    // The operator ignores volumes and init containers of the starter, which needs no script.
    let script = (role != Role::Starter).then(|| Script::of(run));
    let volumes = script.as_ref().map(|script| {
        let own = script.volume.iter().map(|(volume, _)| volume);
        own.chain(listed(&settings["volumes"])).cloned().collect::<Value>()
    });
    let inits = script.as_ref().map(|_| {
        let wanted = listed(&settings["initContainers"]).enumerate();
        wanted.map(|(index, wanted)| init_container(index, wanted, settings)).collect::<Value>()
    });
    let mut labels = settings["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    // Users add to the operator's, but do not change them.
    labels.extend([("app".to_owned(), json!("k6")), ("k6_cr".to_owned(), json!(name(run)))]);
    labels.extend(is_runner.then(|| ("runner".to_owned(), json!("true"))));
    let template = json!({
        "metadata": {"labels": labels, "annotations": settings["metadata"]["annotations"]},
        "spec": {
            "restartPolicy": "Never",
            "hostname": is_runner.then_some(&job),
            "serviceAccountName": settings["serviceAccountName"],
            "schedulerName": settings["schedulerName"],
            "priorityClassName": settings["priorityClassName"],
            "imagePullSecrets": settings["imagePullSecrets"],
            "nodeSelector": settings["nodeSelector"],
            "affinity": settings["affinity"],
            "tolerations": settings["tolerations"],
            "topologySpreadConstraints": settings["topologySpreadConstraints"],
            "securityContext": settings["securityContext"],
            "initContainers": inits,
            "containers": [container(run, role, settings, script.as_ref())],
            "volumes": volumes,
        },
    });
    json!({"kind": "Job", "metadata": {"name": job}, "spec": {"template": without_nulls(template)}})
}

fn container(run: &Value, role: Role, settings: &Value, script: Option<&Script>) -> Value {
    let or =
        |key: &str, default: Value| if settings[key].is_null() { default } else { settings[key].clone() };
    let probe = |key: &str| match role {
        Role::Runner(_) => {
            or(key, json!({"httpGet": {"path": "/v1/status", "port": 6565, "scheme": "HTTP"}}))
        }
        _ => Value::Null,
    };
    let (name, image, resources) = match role {
        Role::Starter => (CURL, "ghcr.io/grafana/k6-operator:latest-starter", starters_resources()),
        _ => (K6, "grafana/k6:latest", Value::Null),
    };
    let mounts = script.map(|script| {
        let own = script.volume.iter().map(|(_, mount)| mount);
        own.chain(listed(&settings["volumeMounts"])).cloned().collect::<Value>()
    });
    let port = json!({"containerPort": 6565});
    let ports = script.map(|_| once(&port).chain(listed(&run["spec"]["ports"])).cloned().collect::<Value>());
    json!({
        "name": name,
        "image": or("image", json!(image)),
        "imagePullPolicy": settings["imagePullPolicy"],
        "command": command(run, role, script),
        "env": script.map(|_| &settings["env"]),
        "envFrom": script.map(|_| &settings["envFrom"]),
        "resources": or("resources", resources),
        "volumeMounts": mounts,
        "ports": ports,
        "livenessProbe": probe("livenessProbe"),
        "readinessProbe": probe("readinessProbe"),
        "securityContext": settings["containerSecurityContext"],
    })
}

/// As the starter has them where it is given none.
fn starters_resources() -> Value {
    json!({"requests": {"cpu": "50m", "memory": "2Mi"}, "limits": {"cpu": "100m", "memory": "200Mi"}})
}

/// The program, behind its shell, and behind scuttle where that is wanted.
fn command(run: &Value, role: Role, script: Option<&Script>) -> Vec<String> {
    let file = script.map_or("", |script| &script.file);
    let program = match role {
        Role::Initializer => {
            vec!["sh".to_owned(), "-c".to_owned(), format!("k6 archive {file} && k6 inspect")]
        }
        Role::Runner(_) => ["k6", "run", file].map(str::to_owned).into(),
        Role::Starter => ["sh", "-c", "curl -X PATCH"].map(str::to_owned).into(),
    };
    // As Go reads flags.
    let scuttle = ["1", "t", "T", "TRUE", "true", "True"].contains(&text(run, "/spec/scuttle/enabled"));
    let mut command: Vec<_> = scuttle.then(|| "scuttle".to_owned()).into_iter().chain(program).collect();
    if let (Role::Runner(_), Some(Script { volume: None, .. })) = (role, script) {
        // A shell looks whether the file is in the image, and then becomes what follows.
        let look = ["sh", "-c", r#"[ -f "$1" ] && shift && exec "$@""#, "sh", file];
        command.splice(0..0, look.map(str::to_owned));
    }
    command
}

fn init_container(index: usize, wanted: &Value, settings: &Value) -> Value {
    let mut container = wanted.as_object().cloned().unwrap_or_default();
    if text(wanted, "/name").is_empty() {
        container.insert("name".to_owned(), json!(format!("k6-init-{index}")));
    }
    container.insert("imagePullPolicy".to_owned(), settings["imagePullPolicy"].clone());
    container.insert("securityContext".to_owned(), settings["containerSecurityContext"].clone());
    container.into()
}

fn listed(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What is not set is left out, as Go does.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.into_iter().filter(|(_, value)| !value.is_null());
            set.map(|(key, value)| (key, without_nulls(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its pod's template, by what the name of the Job ends with.
    fn template(suffix: &str, spec: Value) -> Value {
        let all = jobs(&json!({"metadata": {"name": "run"}, "spec": spec}));
        let job = all.into_iter().find(|(_, job)| job["metadata"]["name"] == format!("run-{suffix}"));
        job.expect(suffix).1["spec"]["template"].clone()
    }

    fn command(suffix: &str, spec: Value) -> Vec<String> {
        let command = &template(suffix, spec)["spec"]["containers"][0]["command"];
        listed(command).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    #[test]
    fn without_settings_of_its_own_the_initializer_has_the_runners_and_the_starter_never_does() {
        let runner =
            json!({"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}, "image": "mine"});
        let told = |suffix: &str, spec: Value| {
            let template = template(suffix, spec);
            let (metadata, image) = (&template["metadata"], &template["spec"]["containers"][0]["image"]);
            json!([metadata["labels"]["team"], metadata["annotations"]["b"], image])
        };
        assert_eq!(told("initializer", json!({"runner": runner})), json!(["a", "c", "mine"]));
        let own = json!({"runner": runner, "initializer": {}});
        assert_eq!(told("initializer", own), json!([null, null, "grafana/k6:latest"]));
        let starter = json!([null, null, "ghcr.io/grafana/k6-operator:latest-starter"]);
        assert_eq!(told("starter", json!({"runner": runner})), starter);
    }

    #[test]
    fn an_initializer_may_be_disabled() {
        let run = json!({"metadata": {"name": "run"}, "spec": {"initializer": {"disabled": true}, "parallelism": 3}});
        let roles: Vec<_> = jobs(&run).into_iter().map(|(role, _)| role).collect();
        assert_eq!(roles, [Role::Runner(3), Role::Starter]);
    }

    #[test]
    fn users_add_labels_but_do_not_change_the_operators() {
        let labels = json!({"app": "mine", "runner": "no", "team": "a"});
        let spec = json!({"runner": {"metadata": {"labels": labels}}});
        let told = |suffix: &str| template(suffix, spec.clone())["metadata"]["labels"].clone();
        assert_eq!(told("1"), json!({"app": "k6", "k6_cr": "run", "runner": "true", "team": "a"}));
        assert_eq!(told("initializer"), json!({"app": "k6", "k6_cr": "run", "runner": "no", "team": "a"}));
    }

    #[test]
    fn scuttle_stands_before_the_program_and_behind_the_look_for_a_local_file() {
        let mut spec = json!({"scuttle": {"enabled": "true"}, "script": {"configMap": {"name": "m"}}});
        assert_eq!(command("1", spec.clone()), ["scuttle", "k6", "run", "/test/test.js"]);
        assert_eq!(command("starter", spec.clone())[..2], ["scuttle", "sh"]);
        spec["script"] = json!({"localFile": "/a.js"});
        assert_eq!(command("1", spec.clone())[3..], ["sh", "/a.js", "scuttle", "k6", "run", "/a.js"]);
        assert_eq!(command("initializer", spec)[..2], ["scuttle", "sh"]);
    }

    #[test]
    fn what_users_bring_is_in_the_pods_of_k6_and_not_in_the_starters() {
        let settings = json!({
            "serviceAccountName": "loader",
            "initContainers": [{"image": "i", "restartPolicy": "Always"}],
            "volumes": [{"name": "v"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "containerSecurityContext": {"runAsUser": 1},
            "livenessProbe": {"periodSeconds": 3},
        });
        let spec = json!({"runner": settings, "starter": settings, "script": {"localFile": "/a.js"}});
        let runner = template("1", spec.clone())["spec"].clone();
        assert_eq!(runner["serviceAccountName"], "loader");
        let init = json!({"name": "k6-init-0", "image": "i", "restartPolicy": "Always", "securityContext": {"runAsUser": 1}});
        assert_eq!(runner["initContainers"], json!([init]));
        let k6 = &runner["containers"][0];
        assert_eq!(
            (&runner["volumes"][0]["name"], &k6["volumeMounts"][0]["name"]),
            (&json!("v"), &json!("v"))
        );
        assert_eq!(
            (&k6["livenessProbe"], &k6["ports"]),
            (&json!({"periodSeconds": 3}), &json!([{"containerPort": 6565}]))
        );
        let starter = template("starter", spec)["spec"].clone();
        let curl = &starter["containers"][0];
        assert_eq!(
            (&starter["initContainers"], &starter["volumes"], &curl["livenessProbe"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!(
            (&starter["serviceAccountName"], &curl["resources"]["limits"]["cpu"]),
            (&json!("loader"), &json!("100m"))
        );
    }

    #[test]
    fn nonsense_in_place_of_settings_is_none() {
        let spec = json!({"runner": "x", "starter": {"metadata": {"labels": 1}}, "script": [], "parallelism": "many"});
        assert_eq!(template("starter", spec.clone())["metadata"]["labels"]["app"], "k6");
        assert_eq!(command("1", spec), ["k6", "run", "/test/test.js"]);
    }
}
