//! The runners: one Job and one Service each.

use serde_json::{Value, json};

use crate::{
    arguments::{argv, needs_shell},
    pod::{self, Role},
    script::Script,
    spec::{TestRun, flag},
};

/// The Job of the runner with this number, counted from 1.
pub(crate) fn job(run: &TestRun, index: i64, default_image: &str) -> anyhow::Result<Value> {
    let script = Script::read(&run.spec.script)?;
    let settings = &run.spec.runner;
    let name = format!("{}-{index}", run.name);
    let env = pod::scuttle_env(&run.spec.scuttle).into_iter().chain(settings.env.clone());
    let mounts = [script.mounts(), settings.volume_mounts.clone()].concat();
    let container = json!({
        "name": "k6",
        "image": pod::image(settings, default_image),
        "imagePullPolicy": settings.image_pull_policy,
        "command": script.guard(command(run, index, &script), needs_shell(&run.spec)),
        "env": env.collect::<Vec<_>>(),
        "envFrom": settings.env_from,
        "resources": settings.resources,
        "volumeMounts": mounts,
        "ports": pod::ports(run),
        "livenessProbe": settings.liveness_probe.clone().unwrap_or_else(probe),
        "readinessProbe": settings.readiness_probe.clone().unwrap_or_else(probe),
        "securityContext": pod::container_security_context(settings),
    });
    let role = Role {
        name: name.clone(),
        settings,
        labels: pod::labels(run, &[("runner", "true")], settings),
        hostname: Some(name),
        affinity: run.spec.separate.then(anti_affinity),
        container,
        init_containers: pod::init_containers(settings, &script),
        volumes: [script.volumes(), settings.volumes.clone()].concat(),
    };
    Ok(pod::job(run, role))
}

/// Its Service; the pods' annotations are on it, too.
pub(crate) fn service(run: &TestRun, index: i64) -> Value {
    let settings = &run.spec.runner;
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("{}-service-{index}", run.name),
            "namespace": run.namespace,
            "labels": pod::labels(run, &[("runner", "true")], settings),
            "annotations": settings.metadata.annotations,
            "ownerReferences": [pod::owner(run)],
        },
        "spec": {
            "ports": [{"name": "http-api", "port": 6565, "protocol": "TCP"}],
            "selector": {"job-name": format!("{}-{index}", run.name)},
        },
    })
}

fn command(run: &TestRun, index: i64, script: &Script) -> Vec<String> {
    let spec = &run.spec;
    let mut command = pod::command(&spec.scuttle, &["k6", "run"]);
    command.extend(flag(&spec.quiet, true).then(|| "--quiet".to_owned()));
    if spec.parallelism > 1 {
        command.extend(segment(index, spec.parallelism));
    }
    command.extend(argv(spec));
    command.extend([script.full_name(), "--address=0.0.0.0:6565".to_owned()]);
    command.extend(flag(&spec.paused, true).then(|| "--paused".to_owned()));
    for tag in [format!("instance_id={index}"), format!("testrun_name={}", run.name)] {
        command.extend(["--tag".to_owned(), tag]);
    }
    command
}

/// Which part of the test is this runner's.
fn segment(index: i64, total: i64) -> [String; 2] {
    let point = |part: i64| match part {
        0 => "0".to_owned(),
        _ if part == total => "1".to_owned(),
        _ => format!("{part}/{total}"),
    };
    let sequence: Vec<_> = (0..=total).map(point).collect();
    [
        format!("--execution-segment={}:{}", point(index - 1), point(index)),
        format!("--execution-segment-sequence={}", sequence.join(",")),
    ]
}

/// All else is Kubernetes' default: every 10 s, 1 s to answer, out after 3 failures, and no startupProbe.
fn probe() -> Value {
    json!({"httpGet": {"path": "/v1/status", "port": 6565, "scheme": "HTTP"}})
}

/// For `separate`: no two runners on one node. It replaces the user's affinity.
fn anti_affinity() -> Value {
    json!({
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{
                "labelSelector": {
                    "matchExpressions": [
                        {"key": "app", "operator": "In", "values": ["k6"]},
                        {"key": "runner", "operator": "In", "values": ["true"]},
                    ],
                },
                "topologyKey": "kubernetes.io/hostname",
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    fn built(spec: Value, index: i64) -> Value {
        job(&sample(spec), index, "grafana/k6:latest").unwrap()
    }

    fn command_of(job: &Value) -> Vec<&str> {
        let command = job.pointer("/spec/template/spec/containers/0/command").unwrap();
        command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    #[test]
    fn the_command_is_the_originals() {
        let job = built(
            json!({"parallelism": 4, "script": {"configMap": {"name": "s"}}, "arguments": "--tag a=b"}),
            2,
        );
        let expected = [
            "k6",
            "run",
            "--quiet",
            "--execution-segment=1/4:2/4",
            "--execution-segment-sequence=0,1/4,2/4,3/4,1",
            "--tag",
            "a=b",
            "/test/test.js",
            "--address=0.0.0.0:6565",
            "--paused",
            "--tag",
            "instance_id=2",
            "--tag",
            "testrun_name=sample",
        ];
        assert_eq!(command_of(&job), expected);
    }

    #[test]
    fn one_runner_has_no_segment_and_flags_can_be_switched_off() {
        let spec = json!({"parallelism": 1, "script": {"configMap": {"name": "s"}}, "quiet": "false", "paused": "false"});
        let expected =
            "k6 run /test/test.js --address=0.0.0.0:6565 --tag instance_id=1 --tag testrun_name=sample";
        assert_eq!(command_of(&built(spec, 1)).join(" "), expected);
    }

    #[test]
    fn the_ends_of_the_segments_are_whole_numbers() {
        assert_eq!(segment(1, 2), ["--execution-segment=0:1/2", "--execution-segment-sequence=0,1/2,1"]);
        assert_eq!(segment(2, 2)[0], "--execution-segment=1/2:1");
    }

    #[test]
    fn the_pod_has_probes_a_hostname_and_a_label_that_no_other_has() {
        let job = built(json!({"parallelism": 1, "script": {"localFile": "/a.js"}}), 1);
        assert_eq!(job["metadata"]["labels"], json!({"app": "k6", "k6_cr": "sample", "runner": "true"}));
        let spec = &job["spec"]["template"]["spec"];
        assert_eq!(spec["hostname"], "sample-1");
        assert_eq!(spec["volumes"], json!([]));
        let container = &spec["containers"][0];
        assert_eq!(container["livenessProbe"], probe());
        assert_eq!(container["readinessProbe"], probe());
        assert_eq!(container["startupProbe"], Value::Null);
        assert_eq!(container["ports"], json!([{"containerPort": 6565}]));
    }

    #[test]
    fn separate_replaces_the_users_affinity() {
        let spec = json!({"parallelism": 1, "script": {"localFile": "/a.js"}, "separate": true,
            "runner": {"affinity": {"nodeAffinity": {}}}});
        let affinity = &built(spec, 1)["spec"]["template"]["spec"]["affinity"];
        assert_eq!(*affinity, anti_affinity());
    }

    #[test]
    fn the_service_selects_by_the_jobs_name() {
        let service = service(&sample(json!({"runner": {"metadata": {"annotations": {"a": "b"}}}})), 3);
        assert_eq!(service["metadata"]["name"], "sample-service-3");
        assert_eq!(service["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(service["spec"]["selector"], json!({"job-name": "sample-3"}));
        assert_eq!(service["spec"]["ports"], json!([{"name": "http-api", "port": 6565, "protocol": "TCP"}]));
    }
}
