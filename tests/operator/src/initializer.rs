//! The initializer: archives the script and prints what k6 says of it as JSON.

use serde_json::{Value, json};

use crate::{
    arguments::{Archive, needs_shell},
    pod::{self, Role},
    script::Script,
    spec::TestRun,
};

/// Its Job.
pub(crate) fn job(run: &TestRun, archive: &Archive, default_image: &str) -> anyhow::Result<Value> {
    let script = Script::read(&run.spec.script)?;
    let settings = run.initializer();
    let words = words(&script, &settings.env, &archive.arguments, needs_shell(&run.spec));
    let mut command = pod::command(&run.spec.scuttle, &["sh", "-c"]);
    command.extend(words);
    let env = pod::scuttle_env(&run.spec.scuttle).into_iter().chain(settings.env.clone());
    let mounts = [script.mounts(), settings.volume_mounts.clone()].concat();
    let container = json!({
        "name": "k6",
        "image": pod::image(settings, default_image),
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "env": env.collect::<Vec<_>>(),
        "envFrom": settings.env_from,
        "resources": settings.resources,
        "volumeMounts": mounts,
        "ports": pod::ports(run),
        "securityContext": pod::container_security_context(settings),
    });
    let role = Role {
        name: format!("{}-initializer", run.name),
        settings,
        labels: pod::labels(run, &[], settings),
        hostname: None,
        affinity: None,
        container,
        init_containers: pod::init_containers(settings, &script),
        volumes: [script.volumes(), settings.volumes.clone()].concat(),
    };
    Ok(pod::job(run, role))
}

/// What follows `sh -c`. With `spec.arguments` all is one text for the shell; with `spec.args` the script takes words,
/// and the kubelet expands the variables.
fn words(script: &Script, env: &[Value], arguments: &[String], in_shell: bool) -> Vec<String> {
    let (source, archive) = (script.full_name(), format!("/tmp/{}.archived.tar", script.file));
    let names = env.iter().filter_map(|one| one["name"].as_str());
    if in_shell {
        let env: String = names.map(|name| format!(r#" -e {name}="${{{name}}}""#)).collect();
        let command = format!("k6 archive {source}{env} -O {archive} {}", arguments.join(" "));
        return vec![shell("", &archive, &command)];
    }
    let program = shell("archive=\"$1\"\nshift\n", r#""${archive}""#, r#""$@""#);
    let first = [program, "sh".to_owned(), archive.clone(), "k6".to_owned(), "archive".to_owned(), source];
    let env = names.flat_map(|name| ["-e".to_owned(), format!("{name}=$({name})")]);
    let last = ["-O".to_owned(), archive].into_iter().chain(arguments.iter().cloned());
    first.into_iter().chain(env).chain(last).collect()
}

/// The shell's program. k6's messages go to a file, so that standard output is JSON and nothing else.
fn shell(setup: &str, archive: &str, command: &str) -> String {
    format!(
        r#"if ! command -v k6 >/dev/null 2>&1; then
  echo 'level=error msg="k6 executable not found in PATH; initializer image must contain k6"' >&2
  exit 127
fi

logs=/tmp/k6logs
{setup}
if ! mkdir -p "$(dirname {archive})"; then
  exit 1
fi

if ! {command} 2> "${{logs}}"; then
  cat "${{logs}}"
  exit 1
fi

if ! k6 inspect --execution-requirements {archive} 2> "${{logs}}"; then
  cat "${{logs}}"
  exit 1
fi

if grep 'level.*error' "${{logs}}"; then
  exit 1
fi"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arguments, spec::sample};

    fn build(spec: Value) -> Value {
        let run = sample(spec);
        let archive = arguments::for_archive(&arguments::argv(&run.spec)).unwrap();
        job(&run, &archive, "grafana/k6:latest").unwrap()
    }

    /// As the fact sheet on v1.6.0 has it, byte for byte.
    const SCRIPT: &str = "if ! command -v k6 >/dev/null 2>&1; then
  echo 'level=error msg=\"k6 executable not found in PATH; initializer image must contain k6\"' >&2
  exit 127
fi

logs=/tmp/k6logs

if ! mkdir -p \"$(dirname /tmp/test.js.archived.tar)\"; then
  exit 1
fi

if ! k6 archive /test/test.js -O /tmp/test.js.archived.tar  2> \"${logs}\"; then
  cat \"${logs}\"
  exit 1
fi

if ! k6 inspect --execution-requirements /tmp/test.js.archived.tar 2> \"${logs}\"; then
  cat \"${logs}\"
  exit 1
fi

if grep 'level.*error' \"${logs}\"; then
  exit 1
fi";

    #[test]
    fn the_whole_job_is_the_originals() {
        let built =
            build(json!({"parallelism": 2, "script": {"configMap": {"name": "scripts", "file": "test.js"}}}));
        let labels = json!({"app": "k6", "k6_cr": "sample"});
        let expected = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "sample-initializer",
                "namespace": "load",
                "labels": labels,
                "annotations": {},
                "ownerReferences": [{
                    "apiVersion": "k6.io/v1alpha1", "kind": "TestRun", "name": "sample", "uid": "5c045a1f",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"labels": labels, "annotations": {}},
                    "spec": {
                        "automountServiceAccountToken": true,
                        "serviceAccountName": "default",
                        "schedulerName": "default-scheduler",
                        "restartPolicy": "Never",
                        "securityContext": {},
                        "initContainers": [],
                        "containers": [{
                            "name": "k6",
                            "image": "grafana/k6:latest",
                            "command": ["sh", "-c", SCRIPT],
                            "env": [],
                            "volumeMounts": [{"name": "k6-test-volume", "mountPath": "/test", "readOnly": true}],
                            "ports": [{"containerPort": 6565}],
                            "securityContext": {},
                        }],
                        "volumes": [{"name": "k6-test-volume", "configMap": {"name": "scripts"}}],
                    },
                },
            },
        });
        assert_eq!(built, expected);
    }

    #[test]
    fn with_args_the_command_is_words_and_the_kubelet_expands_variables() {
        let built = build(json!({
            "script": {"configMap": {"name": "scripts"}},
            "args": ["--tag", "a=b c"],
            "runner": {"env": [{"name": "TARGET", "value": "x"}]},
        }));
        let command = built.pointer("/spec/template/spec/containers/0/command").unwrap();
        assert!(
            command[2].as_str().unwrap().contains("logs=/tmp/k6logs\narchive=\"$1\"\nshift\n\nif ! mkdir -p")
        );
        assert!(command[2].as_str().unwrap().contains("if ! \"$@\" 2> \"${logs}\""));
        let tar = "/tmp/test.js.archived.tar";
        let rest = [
            "sh",
            tar,
            "k6",
            "archive",
            "/test/test.js",
            "-e",
            "TARGET=$(TARGET)",
            "-O",
            tar,
            "--tag",
            "a=b c",
        ];
        assert_eq!(command.as_array().unwrap()[3..], rest);
    }

    #[test]
    fn with_arguments_the_shell_expands_variables() {
        let built = build(json!({
            "script": {"localFile": "/test/local.js"},
            "arguments": "--tag a=b",
            "initializer": {"env": [{"name": "A"}, {"name": "B"}]},
        }));
        let script = built.pointer("/spec/template/spec/containers/0/command/2").unwrap().as_str().unwrap();
        let line = r#"if ! k6 archive /test/local.js -e A="${A}" -e B="${B}" -O /tmp/local.js.archived.tar --tag a=b 2> "${logs}"; then"#;
        assert!(script.contains(line), "{script}");
    }

    #[test]
    fn without_settings_of_its_own_it_has_the_runners() {
        let runner =
            json!({"metadata": {"labels": {"runner": "x"}, "annotations": {"a": "b"}}, "image": "mine"});
        let built = build(json!({"script": {"localFile": "/a.js"}, "runner": runner}));
        assert_eq!(built["metadata"]["labels"]["runner"], "x");
        assert_eq!(built["metadata"]["annotations"]["a"], "b");
        assert_eq!(built.pointer("/spec/template/spec/containers/0/image").unwrap(), "mine");
        let own = build(json!({"script": {"localFile": "/a.js"}, "runner": runner, "initializer": {}}));
        assert_eq!(own["metadata"]["labels"]["runner"], Value::Null);
        assert_eq!(own.pointer("/spec/template/spec/containers/0/image").unwrap(), "grafana/k6:latest");
    }
}
