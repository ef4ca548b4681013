use serde_json::{Value, json};

use super::*;
use crate::watch::completion::{stuck::Cause, tests::pod};

fn judged(pod: &Value) -> Judgement {
    Judgement::of(&pod.to_string())
}

fn done(pod: &Value) -> Done {
    match judged(pod) {
        Judgement::Done(done) => done,
        other => panic!("{other:?} of {pod}"),
    }
}

fn is_done(pod: &Value) -> bool {
    matches!(judged(pod), Judgement::Done(_))
}

/// The pod with this as the state of its main.
fn with_state(policy: &str, state: Value) -> Value {
    let mut pod = pod("p", "n");
    pod["spec"]["restartPolicy"] = policy.into();
    pod["status"]["containerStatuses"][0]["state"] = state;
    pod
}

fn exited(code: i32) -> Value {
    json!({"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:09Z"}})
}

#[test]
fn a_main_is_finished_as_its_restart_policy_and_exit_code_say() {
    for (policy, state, finished) in [
        ("Never", exited(0), true),
        ("Never", exited(3), true),
        ("Never", exited(-1), true),
        ("OnFailure", exited(0), true),
        ("OnFailure", exited(3), false),
        ("OnFailure", exited(256), false),
        ("Never", json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), false),
        // Between two of its runs, or before the first.
        ("OnFailure", json!({"waiting": {"reason": "CrashLoopBackOff"}}), false),
        ("Never", json!({"waiting": {"reason": "CreateContainerConfigError"}}), false),
        ("Never", json!({}), false),
        // How kernel and runtime end one.
        ("Never", json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), true),
        (
            "Never",
            json!({"terminated": {"exitCode": 128, "reason": "ContainerCannotRun", "message": null}}),
            true,
        ),
        ("OnFailure", json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), false),
    ] {
        let pod = with_state(policy, state);
        assert_eq!(is_done(&pod), finished, "{pod}");
    }
}

#[test]
fn a_containers_own_policy_and_rules_come_before_the_pods() {
    let mut pod = with_state("Never", exited(3));
    pod["spec"]["containers"][0]["restartPolicy"] = "OnFailure".into();
    assert!(!is_done(&pod));
    pod["spec"]["containers"][0]["restartPolicy"] = "Never".into();
    pod["spec"]["containers"][0]["restartPolicyRules"] =
        json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}]);
    assert!(!is_done(&pod));
    pod["status"]["containerStatuses"][0]["state"] = exited(4);
    assert!(is_done(&pod));
}

#[test]
fn every_main_counts_and_nobody_else_does() {
    let mut pod = with_state("Never", exited(0));
    pod["metadata"]["annotations"]["curfew.dev/status"] = json!({"strategy": "reaper", "containers": {
        "main": "main", "second": "main", "linkerd-proxy": "classic sidecar linkerd",
        "other": "neither main nor sidecar"}})
    .to_string()
    .into();
    pod["spec"]["containers"].as_array_mut().expect("a list").extend([json!({"name": "second"})]);
    assert!(!is_done(&pod));
    let statuses = pod["status"]["containerStatuses"].as_array_mut().expect("a list");
    statuses.push(json!({"name": "second", "state": exited(1)}));
    statuses.push(json!({"name": "other", "state": {"running": {}}}));
    // Somebody looks into the pod.
    pod["status"]["ephemeralContainerStatuses"] = json!([{"name": "debugger", "state": {"running": {}}}]);
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] =
        "2026-01-01T00:00:11Z".into();
    let done = done(&pod);
    assert!(done.to_tell);
    let since = done.at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).expect("a time");
    assert_eq!(since.as_secs(), 1_767_225_611, "the last of them");
}

#[test]
fn a_pod_is_told_once_by_its_own_uid_and_only_if_it_has_a_reaper() {
    let mut pod = with_state("Never", exited(0));
    assert!(done(&pod).to_tell);
    pod["metadata"]["annotations"]["curfew.dev/done"] = "another's".into();
    assert!(done(&pod).to_tell);
    pod["metadata"]["annotations"]["curfew.dev/done"] = pod["metadata"]["uid"].clone();
    assert!(!done(&pod).to_tell);
    pod["metadata"]["annotations"].as_object_mut().expect("annotations").remove("curfew.dev/done");
    pod["metadata"]["labels"] = json!({"curfew.dev/applied": "await"});
    assert!(!done(&pod).to_tell);
}

#[test]
fn a_pod_that_is_being_deleted_is_left_to_its_kubelet() {
    let mut pod = with_state("Never", exited(0));
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(judged(&pod), Judgement::Nothing);
}

#[test]
fn a_status_that_lies_is_passed_over_with_its_reason() {
    for (status, why) in [
        (Value::Null, "there is none"),
        (json!("{"), "it cannot be read (EOF while parsing an object at line 1 column 1)"),
        (
            json!({"containers": {"main": "main", "gone": "main"}}),
            "it names the container \"gone\", which is not",
        ),
        (
            json!({"containers": {"main": "main", "gone": "classic sidecar istio"}}),
            "it names the container \"gone\"",
        ),
        (json!({"containers": {"linkerd-proxy": "classic sidecar linkerd"}}), "it names no main container"),
        (json!({"containers": {"main": "Main"}}), "it names no main container"),
        (json!({"containers": []}), "it cannot be read"),
        (
            json!({"containers": {"main": "main"}}),
            "it does not name the container \"linkerd-proxy\", which may be a main",
        ),
    ] {
        let mut pod = with_state("Never", exited(0));
        let annotations = pod["metadata"]["annotations"].as_object_mut().expect("annotations");
        match status {
            Value::Null => drop(annotations.remove("curfew.dev/status")),
            Value::String(text) => drop(annotations.insert("curfew.dev/status".to_owned(), text.into())),
            status => drop(annotations.insert("curfew.dev/status".to_owned(), status.to_string().into())),
        }
        let Judgement::PassedOver(said) = judged(&pod) else { panic!("{pod}") };
        assert!(said.starts_with(&format!("curfew.dev/status: {why}")), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_passed_over_with_its_reason() {
    let mut pod = with_state("Never", exited(0));
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = "none".into();
    let Judgement::PassedOver(said) = judged(&pod) else { panic!("{pod}") };
    assert!(said.contains("cannot be read") && said.contains("none"), "{said}");
}

#[test]
fn a_pod_that_was_left_says_why_until_its_mains_are_done() {
    let mut pod = with_state("Never", json!({"running": {}}));
    pod["metadata"]["annotations"]["curfew.dev/status"] = json!({"strategy": "leave", "reason": "of this",
        "containers": {"main": "main", "linkerd-proxy": "classic sidecar linkerd"}})
    .to_string()
    .into();
    assert_eq!(judged(&pod), Judgement::Left { reason: "of this".to_owned(), started: None });
    pod["status"]["containerStatuses"][0]["state"] = exited(0);
    let stuck = done(&pod).stuck.expect("stuck");
    assert_eq!((stuck.strategy, stuck.cause), ("leave", Cause::Left));
    assert_eq!(
        stuck.text,
        "every main has ended, and sidecar linkerd-proxy (linkerd) still holds the pod (strategy leave): Curfew left this pod, \
         because of this. `curfew rescue` says whether it can let it go, and how"
    );
}

#[test]
fn who_holds_the_pod_is_explained_by_what_is_known() {
    let told = |mut pod: Value| {
        pod["metadata"]["annotations"]["curfew.dev/done"] = pod["metadata"]["uid"].clone();
        pod
    };
    let with_reaper = |state: Value| {
        let mut pod = told(with_state("Never", exited(0)));
        pod["spec"]["containers"].as_array_mut().expect("a list").push(json!({"name": "curfew-reaper"}));
        let reaper = json!({"name": "curfew-reaper", "state": state});
        pod["status"]["containerStatuses"].as_array_mut().expect("a list").push(reaper);
        pod
    };
    let without_reaper = |code: i32, message: &str| {
        let mut pod = with_state("Never", exited(code));
        pod["metadata"]["labels"] = json!({"curfew.dev/applied": "await"});
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message.into();
        pod
    };
    let said = "curfew-reaper: http://127.0.0.1:4191/shutdown answered 404 (Linkerd: annotate the pod)\n";
    for (pod, cause, part) in [
        (with_state("Never", exited(0)), Cause::NotTold, "watch was down"),
        (with_reaper(json!({"running": {}})), Cause::Reaper, "has not left yet"),
        (
            with_reaper(json!({"terminated": {"exitCode": 0, "message": said}})),
            Cause::Endpoint,
            "(strategy reaper): http://127.0.0.1:4191/shutdown answered 404 (Linkerd: annotate the pod). `curfew rescue` says",
        ),
        (without_reaper(0, said), Cause::Endpoint, "answered 404"),
        (without_reaper(137, ""), Cause::Killed, "curfew.dev/net: on"),
        (without_reaper(0, "a message of the main's own"), Cause::Unknown, "neither wrapper nor reaper"),
    ] {
        let stuck = done(&pod).stuck.expect("stuck");
        assert_eq!(stuck.cause, cause, "{stuck:?}");
        assert!(
            stuck.text.contains(part) && stuck.text.contains("sidecar linkerd-proxy (linkerd)"),
            "{stuck:?}"
        );
    }
    // The reaper holds it alone.
    let mut pod = with_reaper(json!({"running": {}}));
    pod["status"]["containerStatuses"][1]["state"] = exited(0);
    let stuck = done(&pod).stuck.expect("stuck");
    assert!(stuck.text.contains("container curfew-reaper still holds the pod"), "{stuck:?}");
    assert!(stuck.text.ends_with("its kubelet may be behind. See `kubectl get nodes`"), "{stuck:?}");
    for (reason, mend) in [
        ("ImagePullBackOff", "See to it that the node can pull its image, or let `curfew rescue` swap it"),
        ("CrashLoopBackOff", "`curfew rescue` says whether it can let it go, and how"),
    ] {
        pod["status"]["containerStatuses"][2]["state"] = json!({"waiting": {"reason": reason}});
        let stuck = done(&pod).stuck.expect("stuck");
        let said = format!("does not run: it is in {reason}. {mend}");
        assert!(stuck.text.ends_with(&said), "{stuck:?}");
    }
    pod["status"]["containerStatuses"][2]["state"] = exited(0);
    assert_eq!(done(&pod).stuck, None);
}

#[test]
fn a_sidecar_that_is_started_again_and_again_holds_the_pod_too() {
    let mut pod = with_state("OnFailure", exited(0));
    pod["metadata"]["annotations"]["curfew.dev/done"] = pod["metadata"]["uid"].clone();
    for (state, who) in [
        (json!({"waiting": {"reason": "CrashLoopBackOff"}}), "linkerd-proxy (linkerd, in CrashLoopBackOff)"),
        (json!({"waiting": {}}), "linkerd-proxy (linkerd, in Waiting)"),
    ] {
        pod["status"]["containerStatuses"][1]["state"] = state;
        let stuck = done(&pod).stuck.expect("stuck");
        assert!(stuck.text.contains(&format!("sidecar {who} still holds the pod")), "{stuck:?}");
    }
}

#[test]
fn a_pod_without_a_main_is_never_done_and_says_why_it_was_left() {
    let mut pod = with_state("Never", exited(0));
    for strategy in ["leave", "reaper", "await"] {
        let status = json!({"strategy": strategy, "reason": "it has no main",
                            "containers": {"main": "neither main nor sidecar", "linkerd-proxy": "classic sidecar linkerd"}});
        pod["metadata"]["annotations"]["curfew.dev/status"] = status.to_string().into();
        let judgement = judged(&pod);
        if strategy == "leave" {
            assert_eq!(judgement, Judgement::Left { reason: "it has no main".to_owned(), started: None });
        } else {
            assert!(
                matches!(&judgement, Judgement::PassedOver(why) if why.contains("no main")),
                "{judgement:?}"
            );
        }
    }
}
