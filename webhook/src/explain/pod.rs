//! A pod that is there.

use serde_json::Value;

use super::{
    About, Explanation, Surroundings,
    containers::{self, State, name, phase, text},
    template::say,
};
use crate::{
    check::status_of,
    rescue::{self, Circumstances, Hanging, Verdict},
};

/// Where a pod just ended, it may be about to go.
const JUST: std::time::Duration = std::time::Duration::from_secs(15);

/// What is to be said of a pod.
pub(super) fn explain(pod: &Value, around: &Surroundings) -> Explanation {
    let (namespace, name) = (text(pod, "/metadata/namespace"), name(pod));
    let mut told = Explanation::of("pod", name, namespace);
    let status = status_of(pod);
    let asked = around.asked(pod, namespace);
    // Where the label itself opts out, that is the better reason.
    let left_alone = around.left_alone(pod).filter(|_| !matches!(asked, Err((_, None))));
    match verdict(pod, around) {
        Some(Verdict::Hangs(hanging)) => {
            let (state, mend) = held(&hanging);
            let why = match (&status, left_alone) {
                (Some(status), _) => format!("Curfew came to `{}`: {}", status.strategy, status.reason),
                (None, Some(why)) => format!("nobody ends its sidecars: {why}"),
                (None, None) => "nobody ends its sidecars: Curfew was not asked about it".to_owned(),
            };
            told.hangs(state, why, mend);
        }
        Some(Verdict::Fine(why)) if !["Succeeded", "Failed"].contains(&phase(pod)) => {
            told.say(About::State, format!("{}, and does not hang: {why}", phase(pod)));
        }
        _ => {
            told.say(About::State, phase(pod));
        }
    }
    if let Some(why) = waits(pod) {
        told.say(About::Why, why);
    }
    match (&status, left_alone, asked) {
        (Some(status), ..) => say(About::Curfew, status, &mut told),
        (None, Some(why), _) => {
            told.say(About::Curfew, format!("leaves it as it came: {why}"));
        }
        (None, None, Err((why, mend))) => {
            told.say(About::Curfew, format!("was not asked: {why}"));
            if let Some(mend) = mend.filter(|_| told.hangs) {
                told.say(About::Mend, format!("for those to come: {mend}"));
            }
        }
        (None, None, Ok(())) => {
            let text =
                "was not asked, or not then: the label came later than the pod, or failurePolicy is Ignore";
            told.say(About::Curfew, text);
        }
    }
    let role = |name: &str| status.as_ref().and_then(|status| status.containers.get(name));
    for container in containers::of(pod) {
        let role = role(&container.name).map(|role| format!(" ({role})")).unwrap_or_default();
        told.say(About::Container, format!("{}{role}: {}", container.name, container.told()));
    }
    told
}

/// Whether it hangs; none where it cannot be read.
pub(super) fn verdict(pod: &Value, around: &Surroundings) -> Option<Verdict> {
    let circumstances = Circumstances {
        config: &around.config,
        namespace: &around.namespace,
        now: around.now,
        older_than: JUST,
        include_handled: false,
    };
    rescue::judge(&pod.to_string(), circumstances).ok()
}

/// What holds a pod, and what lets it go.
pub(super) fn held(hanging: &Hanging) -> (String, String) {
    let Hanging { namespace, pod, left, sidecars, .. } = hanging;
    let names: Vec<_> = sidecars.iter().map(|holder| holder.container.as_str()).collect();
    let state = format!("hangs: its work is done, and {} runs on", names.join(", "));
    let mend = match (left, hanging.hopeless()) {
        (Some(left), _) => left.clone(),
        (None, Some(why)) => why,
        (None, None) => format!("curfew rescue -n {namespace} {pod} --yes"),
    };
    (state, mend)
}

/// What keeps it from its start, or made it fail, in the kubelet's words.
pub(super) fn waits(pod: &Value) -> Option<String> {
    if phase(pod) == "Pending"
        && let Some(condition) = pod
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")
    {
        return Some(format!("it is not scheduled: {}", text(condition, "/message")));
    }
    if phase(pod) == "Failed"
        && let Some(container) = containers::failed(pod)
    {
        return Some(format!("{} {}", container.name, container.told()));
    }
    containers::of(pod).iter().find_map(|container| match &container.state {
        State::Waiting(reason, _)
            if !["PodInitializing", "ContainerCreating", ""].contains(&reason.as_str()) =>
        {
            Some(format!("{} is {}", container.name, container.told()))
        }
        _ => None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::{explain::gather::tests::around, plan::STRATEGY};

    /// A pod of Linkerd's shape whose main has ended, or not.
    pub(in crate::explain) fn meshed(name: &str, main: &str, main_state: Value, proxy_state: Value) -> Value {
        json!({"metadata": {"namespace": "load", "name": name, "uid": "u", "labels": {}},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": "linkerd-proxy", "image": "linkerd/proxy:1"}, {"name": main, "command": ["a"]}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "linkerd-proxy", "state": proxy_state}, {"name": main, "state": main_state}]}})
    }

    fn done() -> Value {
        json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z"}})
    }

    fn said(told: &Explanation, about: About) -> String {
        told.lines
            .iter()
            .filter(|line| line.about == about)
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn one_that_a_proxy_holds_hangs_and_rescue_lets_it_go() {
        let told = explain(&meshed("a", "main", done(), json!({"running": {}})), &around(None));
        assert!(told.hangs && said(&told, About::State).contains("linkerd-proxy runs on"), "{told:?}");
        let mends = "curfew rescue -n load a --yes\nfor those to come: kubectl label namespace load curfew.dev/inject=enabled";
        assert_eq!(said(&told, About::Mend), mends);
        assert!(
            said(&told, About::Curfew).contains("neither it nor namespace load has the label"),
            "{told:?}"
        );
        assert!(said(&told, About::Container).contains("main: exited 0"));
    }

    #[test]
    fn one_that_curfew_was_told_to_leave_alone_is_told_so_whatever_the_labels_say() {
        for label in [None, Some("enabled")] {
            let mut around = around(label);
            around.namespace.annotations.insert(STRATEGY.to_owned(), "off".to_owned());
            let told = explain(&meshed("a", "main", done(), json!({"running": {}})), &around);
            assert_eq!(said(&told, About::Curfew), "leaves it as it came: curfew.dev/strategy is off");
            assert_eq!(said(&told, About::Why), "nobody ends its sidecars: curfew.dev/strategy is off");
            assert_eq!(said(&told, About::Mend), "curfew rescue -n load a --yes");
        }
        let told = explain(&meshed("a", "main", done(), json!({"running": {}})), &around(Some("disabled")));
        assert!(said(&told, About::Curfew).starts_with("was not asked: the label"), "{told:?}");
    }

    #[test]
    fn one_at_work_does_not_and_what_curfew_did_is_told() {
        let mut pod = meshed("a", "main", json!({"running": {}}), json!({"running": {}}));
        let status = json!({"strategy": "await", "reason": "because", "containers": {"main": "main"}});
        pod["metadata"]["annotations"] = json!({"curfew.dev/status": status.to_string()});
        let told = explain(&pod, &around(Some("enabled")));
        assert!(!told.hangs && said(&told, About::State).contains("main has not ended"), "{told:?}");
        assert_eq!(said(&told, About::Curfew), "await: because");
        assert!(said(&told, About::Container).contains("main (main): running"));
    }

    #[test]
    fn what_keeps_it_from_starting_is_told_in_the_kubelets_words() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        let told = explain(&meshed("a", "main", waiting, json!({"running": {}})), &around(None));
        assert!(
            said(&told, About::Why).contains("main is waiting ImagePullBackOff: no such image"),
            "{told:?}"
        );
        let mut failed = meshed(
            "a",
            "main",
            json!({"terminated": {"exitCode": 69, "message": "proxy never ready"}}),
            done(),
        );
        failed["status"]["phase"] = json!("Failed");
        assert_eq!(said(&explain(&failed, &around(None)), About::State), "Failed");
        assert_eq!(waits(&failed).expect("a reason"), "main exited 69: proxy never ready");
    }

    #[test]
    fn a_failure_is_the_mains_and_not_of_the_native_sidecar_that_the_kubelet_ended() {
        let exited = |code: i32| json!({"terminated": {"exitCode": code}});
        let pod = |gate: i32, main: Value| {
            json!({"spec": {"restartPolicy": "Never",
                    "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "gate"}],
                    "containers": [{"name": "main"}]},
                "status": {"phase": "Failed",
                    "initContainerStatuses": [{"name": "proxy", "state": exited(143)}, {"name": "gate", "state": exited(gate)}],
                    "containerStatuses": [{"name": "main", "state": main}]}})
        };
        assert_eq!(waits(&pod(0, exited(3))).as_deref(), Some("main exited 3"));
        let never = json!({"waiting": {"reason": "PodInitializing"}});
        assert_eq!(waits(&pod(69, never)).as_deref(), Some("gate exited 69"));
        // A classic one is ended after the main.
        let ended = |code: i32, at: &str| json!({"terminated": {"exitCode": code, "finishedAt": at}});
        let (first, later) = (ended(3, "2026-01-01T00:00:00Z"), ended(143, "2026-01-01T00:00:05Z"));
        let mut classic = meshed("a", "main", first, later);
        classic["status"]["phase"] = json!("Failed");
        assert_eq!(waits(&classic).as_deref(), Some("main exited 3"));
    }
}
