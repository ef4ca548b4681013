use serde_json::{Value, json};

use super::*;

/// A minute after the mains of [`pod`] ended.
const NOW: &str = "2026-01-01T00:01:00Z";

fn ended(code: i32) -> Value {
    json!({"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
}

fn main() -> (Value, Value) {
    (json!({"name": "main", "image": "busybox"}), ended(0))
}

fn linkerd() -> (Value, Value) {
    (json!({"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge"}), running())
}

fn helper() -> (Value, Value) {
    (json!({"name": "helper", "image": "helper"}), running())
}

fn reaper(state: Value) -> (Value, Value) {
    let command = json!(["/curfew-reaper", "reap", "--done", "/.curfew/done/done", "--uid", "u"]);
    (json!({"name": "curfew-reaper", "command": command}), state)
}

/// A pod of these containers, each with its state.
fn pod(policy: &str, containers: &[(Value, Value)]) -> Value {
    let specs: Vec<_> = containers.iter().map(|(spec, _)| spec.clone()).collect();
    let statuses: Vec<_> =
        containers.iter().map(|(spec, state)| json!({"name": spec["name"], "state": state})).collect();
    json!({
        "metadata": {"namespace": "ns", "name": "pod", "uid": "u"},
        "spec": {"restartPolicy": policy, "containers": specs},
        "status": {"phase": "Running", "containerStatuses": statuses},
    })
}

fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    pod.pointer_mut(parent).expect("its parent")[key] = value;
    pod
}

fn judged(pod: &Value, include_handled: bool) -> Verdict {
    let rows = "catalogue: {sidecars: [{name: helper, containers: [helper]}]}";
    let circumstances = Circumstances {
        config: &Config::parse(rows, "test").expect("a configuration"),
        namespace: &Namespace::default(),
        now: NOW.parse().expect("a time"),
        older_than: Duration::from_secs(15),
        include_handled,
    };
    judge(&pod.to_string(), circumstances).expect("a pod")
}

fn hangs(pod: &Value) -> Hanging {
    match judged(pod, false) {
        Verdict::Hangs(hanging) => hanging,
        Verdict::Fine(why) => panic!("does not hang: {why}"),
    }
}

fn fine(pod: &Value) -> String {
    match judged(pod, false) {
        Verdict::Fine(why) => why,
        Verdict::Hangs(hanging) => panic!("{hanging:?}"),
    }
}

fn sidecar(row: &str, endpoint: Result<&str, &str>) -> Kind {
    Kind::Sidecar {
        row: row.to_owned(),
        endpoint: endpoint.ok().map(str::to_owned),
        no_endpoint: endpoint.err().map(str::to_owned),
    }
}

#[test]
fn a_pod_whose_mains_are_finished_hangs_on_its_sidecar() {
    for (policy, code) in [("Never", 0), ("Never", 3), ("OnFailure", 0)] {
        let main = (json!({"name": "main"}), ended(code));
        let hanging = hangs(&pod(policy, &[linkerd(), main]));
        assert_eq!(hanging.name(), "ns/pod");
        assert_eq!(hanging.since, "2026-01-01T00:00:00Z".parse().ok());
        let [holder] = &hanging.sidecars[..] else { panic!("{hanging:?}") };
        assert_eq!(holder.container, "linkerd-proxy");
        assert_eq!(holder.kind, sidecar("linkerd", Ok("http://127.0.0.1:4191/shutdown")));
        assert_eq!((holder.no_swap.as_deref(), hanging.hopeless(), hanging.left), (None, None, None));
        assert_eq!(hanging.swap_counts_as_restart, policy == "OnFailure");
    }
}

#[test]
fn a_pod_that_does_not_hang_is_said_why() {
    let meshed = |policy, main| pod(policy, &[linkerd(), main]);
    let crashed = (json!({"name": "main"}), json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    let own = (json!({"name": "main", "restartPolicy": "OnFailure"}), ended(1));
    let hanging = meshed("Never", main());
    for (pod, why) in [
        (meshed("Always", main()), "restartPolicy is Always"),
        (meshed("Never", (json!({"name": "main"}), running())), "main has not ended"),
        (meshed("OnFailure", (json!({"name": "main"}), ended(1))), "main exited 1 and runs again"),
        (meshed("OnFailure", crashed), "main has not ended"),
        (meshed("Never", own), "main exited 1 and runs again"),
        (pod("Never", &[main()]), "all its containers have ended"),
        (pod("Never", &[linkerd()]), "every container of it is a sidecar"),
        (pod("Never", &[linkerd(), main(), (json!({"name": "other"}), running())]), "other has not ended"),
        (with(hanging.clone(), "/metadata/deletionTimestamp", json!(NOW)), "being deleted"),
        (with(hanging.clone(), "/status/phase", json!("Succeeded")), "it is Succeeded"),
        (with(hanging.clone(), "/status/containerStatuses", Value::Null), "main has not ended"),
        (
            with(
                hanging,
                "/status/containerStatuses/1/state/terminated/finishedAt",
                json!("2026-01-01T00:00:50Z"),
            ),
            "ended 10 s ago",
        ),
    ] {
        let said = fine(&pod);
        assert!(said.contains(why), "{said} is not {why}");
    }
}

#[test]
fn restarts_and_the_job_that_counts_them_are_told() {
    let mut pod = pod("OnFailure", &[main(), linkerd()]);
    pod["metadata"]["ownerReferences"] = json!([{"kind": "Job", "name": "other"},
                                                {"kind": "Job", "name": "report", "controller": true}]);
    pod["status"]["containerStatuses"][0]["restartCount"] = json!(2);
    pod["status"]["initContainerStatuses"] = json!([{"name": "init", "restartCount": 1}]);
    let hanging = hangs(&pod);
    assert_eq!((hanging.job.as_deref(), hanging.restarts, hanging.backoff_limit), (Some("report"), 3, None));
}

#[test]
fn native_sidecars_hold_nothing() {
    let proxy = json!({"name": "linkerd-proxy", "image": "linkerd/proxy", "restartPolicy": "Always"});
    let pod = with(pod("Never", &[main()]), "/spec/initContainers", json!([proxy]));
    assert_eq!(fine(&pod), "all its containers have ended");
}

#[test]
fn a_sidecar_that_its_mesh_ends_is_told_to_run_still() {
    let kuma = |state| (json!({"name": "kuma-sidecar", "image": "kuma/kuma-dp:2.9"}), state);
    let who =
        "only kuma-sidecar still runs: Kuma's control plane quits it when every other container is done";
    assert_eq!(fine(&pod("Never", &[main(), kuma(running())])), who);
    assert_eq!(fine(&pod("Never", &[main(), kuma(ended(0))])), "all its containers have ended");
}

#[test]
fn sidecars_that_carry_no_traffic_come_first() {
    let hanging = hangs(&pod("Never", &[linkerd(), main(), helper()]));
    let names: Vec<_> = hanging.sidecars.iter().map(|holder| holder.container.as_str()).collect();
    assert_eq!(names, ["helper", "linkerd-proxy"]);
    assert_eq!(hanging.sidecars[0].kind, sidecar("helper", Err("no shutdown endpoint known")));
}

#[test]
fn a_sidecar_the_pods_own_annotation_describes_counts() {
    let row = "[{name: mine, containers: [mine], shutdown: {url: 'GET=http://127.0.0.1:9/quit'}}]";
    let mine = (json!({"name": "mine"}), running());
    let pod =
        with(pod("Never", &[main(), mine]), "/metadata/annotations", json!({"curfew.dev/sidecars": row}));
    assert_eq!(hangs(&pod).sidecars[0].kind, sidecar("mine", Ok("GET=http://127.0.0.1:9/quit")));
}

#[test]
fn an_endpoint_nobody_may_or_can_ask_is_passed_over() {
    let host = with(pod("Never", &[main(), linkerd()]), "/spec/hostNetwork", json!(true));
    let backing_off = (linkerd().0, json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    for (pod, why) in [
        (host, "on the node's network its endpoint may be another's"),
        (pod("OnFailure", &[main(), backing_off]), "it does not run"),
    ] {
        let hanging = hangs(&pod);
        assert_eq!(hanging.sidecars[0].kind, sidecar("linkerd", Err(why)));
        assert_eq!(hanging.sidecars[0].no_swap, None);
    }
}

#[test]
fn what_neither_endpoint_nor_image_can_end_is_hopeless() {
    let with_command = (json!({"name": "helper", "command": ["/opt/helper"]}), running());
    let always = (json!({"name": "helper", "restartPolicy": "Always"}), running());
    for (container, why) in [
        (with_command, "its command /opt/helper is not in the no-op image"),
        (always, "its own restart policy starts it again whenever it ends"),
    ] {
        let said = hangs(&pod("Never", &[main(), container])).hopeless().expect("no hope");
        assert_eq!(said, format!("helper: {why}; delete the pod, or its Job"));
    }
}

#[test]
fn pods_whose_owner_ends_the_sidecars_are_left_unless_asked_for() {
    let pod = with(
        pod("Never", &[main(), linkerd()]),
        "/metadata/labels",
        json!({"workflows.argoproj.io/workflow": "w"}),
    );
    assert!(hangs(&pod).left.expect("left").contains("Argo Workflows"));
    assert!(matches!(judged(&pod, true), Verdict::Hangs(Hanging { left: None, .. })));
}

#[test]
fn windows_pods_are_left() {
    let pod = with(pod("Never", &[main(), linkerd()]), "/spec/os", json!({"name": "windows"}));
    assert_eq!(hangs(&pod).left.as_deref(), Some("it is a Windows pod"));
}

#[test]
fn curfews_own_containers_are_no_mains() {
    let hanging = hangs(&pod("Never", &[main(), linkerd(), reaper(running())]));
    assert_eq!(hanging.sidecars[0].kind, Kind::Reaper { told: false, waits: None });
    let pulling = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let swapped = (json!({"name": "mine", "image": "r.example/curfew-noop:1"}), pulling);
    let hanging = hangs(&pod("Never", &[main(), swapped]));
    assert_eq!(hanging.sidecars[0].kind, Kind::Noop { state: "ImagePullBackOff".to_owned() });
    assert_eq!(hanging.hopeless(), None);
}

#[test]
fn a_reaper_was_told_where_the_annotation_has_the_pods_own_uid() {
    let pod = pod("Never", &[main(), reaper(running())]);
    for (annotations, told) in [
        (Value::Null, false),
        (json!({"curfew.dev/done": "another's"}), false),
        (json!({"curfew.dev/done": "u"}), true),
    ] {
        let pod = with(pod.clone(), "/metadata/annotations", annotations);
        assert_eq!(hangs(&pod).sidecars[0].kind, Kind::Reaper { told, waits: None });
    }
}

#[test]
fn a_reaper_that_does_not_run_is_to_be_swapped_which_its_command_allows() {
    let pulling = json!({"waiting": {"reason": "ImagePullBackOff"}});
    // As the kubelet tells of a pod with a container that never started.
    let pod = with(pod("Never", &[main(), reaper(pulling)]), "/status/phase", json!("Pending"));
    for (annotations, told) in [(Value::Null, false), (json!({"curfew.dev/done": "u"}), true)] {
        let hanging = hangs(&with(pod.clone(), "/metadata/annotations", annotations));
        let [holder] = &hanging.sidecars[..] else { panic!("{hanging:?}") };
        assert_eq!(holder.kind, Kind::Reaper { told, waits: Some("ImagePullBackOff".to_owned()) });
        assert_eq!((holder.no_swap.as_deref(), hanging.swaps(), hanging.hopeless()), (None, 1, None));
    }
    // One that is being made will hear.
    let being_made = json!({"waiting": {"reason": "ContainerCreating"}});
    let hanging = hangs(&with(pod.clone(), "/status/containerStatuses/1/state", being_made));
    assert_eq!(hanging.sidecars[0].kind, Kind::Reaper { told: false, waits: None });
    // Again and again it is started by its own policy, whichever image it has.
    let always = with(pod, "/spec/containers/1/restartPolicy", json!("Always"));
    let said = hangs(&always).hopeless().expect("no hope");
    assert!(said.starts_with("curfew-reaper: its own restart policy"), "{said}");
}

#[test]
fn what_is_no_pod_is_refused() {
    let circumstances = Circumstances {
        config: &Config::builtin().expect("a configuration"),
        namespace: &Namespace::default(),
        now: NOW.parse().expect("a time"),
        older_than: Duration::ZERO,
        include_handled: false,
    };
    for raw in ["", "[]", r#"{"spec": {"containers": 1}}"#, r#"{"status": {"containerStatuses": 1}}"#] {
        assert!(judge(raw, circumstances).is_err(), "{raw}");
    }
}
