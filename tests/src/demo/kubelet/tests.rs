use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{keeper::TICK, *};
use crate::demo::{mesh::Mesh, pod::Pod};

const PATIENCE: Duration = Duration::from_secs(10);

fn start(folder: &Path, spec: Value) -> RunningPod {
    let nothing = folder.join("nothing");
    let node = Node::new(nothing.clone(), nothing, None, folder.join("node")).unwrap();
    let pod = Pod::from_json(&json!({ "metadata": {}, "spec": spec })).unwrap();
    let placed = node.place(pod, Mesh::Envoy, "test", Duration::ZERO);
    RunningPod::start(&Arc::new(node), placed).unwrap()
}

fn sh(name: &str, script: &str) -> Value {
    let mounts = json!([{ "name": "shared", "mountPath": "/shared" }]);
    json!({ "name": name, "command": ["sh", "-c"], "args": [script], "volumeMounts": mounts })
}

fn spec(policy: &str, init: Value, containers: Value) -> Value {
    let volumes = json!([{ "name": "shared", "emptyDir": {} }]);
    json!({ "restartPolicy": policy, "initContainers": init, "containers": containers, "volumes": volumes })
}

fn log(pod: &RunningPod, index: usize) -> String {
    fs::read_to_string(pod.placed.log(&pod.placed.pod.spec.containers[index])).unwrap()
}

#[test]
fn init_containers_run_in_order_and_share_volumes_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let init = json!([sh("one", "echo 1 >> /shared/x"), sh("two", "echo 2 >> /shared/x")]);
    let pod = start(folder.path(), spec("Never", init, json!([sh("main", "cat /shared/x")])));
    assert!(pod.wait(PATIENCE, |state| state.phase == Phase::Succeeded));
    assert_eq!(log(&pod, 0), "1\n2\n");
}

#[test]
fn a_pod_is_over_when_all_containers_are_and_failed_when_one_did() {
    let folder = tempfile::tempdir().unwrap();
    let containers =
        json!([sh("main", "exit 3"), sh("envoyish", "until [ -e /shared/go ]; do sleep 0.05; done")]);
    let pod = start(folder.path(), spec("Never", json!([]), containers));
    assert!(pod.wait(PATIENCE, |state| state.container("main").is_some_and(|main| main.ended.is_some())));
    assert_eq!(pod.state().phase, Phase::Running);
    fs::write(pod.placed.folder.join("volumes/shared/go"), "").unwrap();
    assert!(pod.wait(PATIENCE, |state| state.phase == Phase::Failed));
    assert_eq!(pod.state().container("main").and_then(|main| main.ended).map(|ended| ended.code), Some(3));
}

#[test]
fn on_failure_restarts_until_it_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let script = "[ -e /shared/tried ] && exit 0; touch /shared/tried; exit 1";
    let pod = start(folder.path(), spec("OnFailure", json!([]), json!([sh("main", script)])));
    assert!(pod.wait(PATIENCE, |state| state.phase == Phase::Succeeded));
    assert_eq!(pod.state().containers[0].restarts, 1);
}

#[test]
fn a_failed_init_container_fails_the_pod_and_nothing_else_runs() {
    let folder = tempfile::tempdir().unwrap();
    let pod = start(folder.path(), spec("Never", json!([sh("one", "exit 5")]), json!([sh("main", "true")])));
    assert!(pod.wait(PATIENCE, |state| state.is_over()));
    let state = pod.state();
    assert!(state.phase == Phase::Failed && state.containers[0].ended.is_none());
    assert!(state.error.is_some_and(|error| error.contains("one")));
}

#[test]
fn a_post_start_hook_holds_back_the_next_container() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = sh("first", "sleep 0.6");
    first["lifecycle"] =
        json!({ "postStart": { "exec": { "command": ["sh", "-c", "sleep 0.2; touch /shared/held"] } } });
    let containers = json!([first, sh("main", "test -e /shared/held")]);
    let pod = start(folder.path(), spec("Never", json!([]), containers));
    assert!(pod.wait(PATIENCE, |state| state.phase == Phase::Succeeded), "{:?}", pod.state());
}

#[test]
fn a_pod_that_is_stopped_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut pod =
        start(folder.path(), spec("Always", json!([]), json!([sh("main", "echo $$; exec sleep 600")])));
    assert!(pod.wait(PATIENCE, |state| state.containers[0].running));
    while log(&pod, 0).is_empty() {
        thread::sleep(TICK);
    }
    let pid = log(&pod, 0).trim().to_owned();
    pod.stop();
    assert!(!Path::new("/proc").join(pid).exists());
}
