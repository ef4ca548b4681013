//! A pod's containers, as the kubelet tells of them.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// How one container stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) state: State,
}

/// What it is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Running,
    /// Not started, with the kubelet's reason and message.
    Waiting(String, String),
    /// Ended, with what it left as its message.
    Ended {
        exit: i64,
        message: String,
        at: Option<Timestamp>,
    },
}

/// All of a pod's, those of `initContainers` first.
pub(super) fn of(pod: &Value) -> Vec<Container> {
    let statuses =
        |list: &str| pod.pointer(&format!("/status/{list}")).and_then(Value::as_array).into_iter().flatten();
    statuses("initContainerStatuses").chain(statuses("containerStatuses")).map(Container::of).collect()
}

/// The one that made a pod Failed: what failed first, as the others are ended after it. Native sidecars do not count, as
/// the kubelet ends them.
pub(super) fn failed(pod: &Value) -> Option<Container> {
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let is_native = |status: &&Value| {
        let mut init = list("/spec/initContainers").filter(|container| container["name"] == status["name"]);
        init.any(|container| container["restartPolicy"] == "Always")
    };
    let init = list("/status/initContainerStatuses").filter(|status| !is_native(status));
    let all = list("/status/containerStatuses").chain(init).map(Container::of);
    let failed = all.filter(|container| container.exit().is_some_and(|exit| exit != 0));
    failed.min_by_key(Container::at)
}

/// A pod's text at this place, empty where there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Its phase.
pub(super) fn phase(pod: &Value) -> &str {
    text(pod, "/status/phase")
}

/// Its name.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

// === impl Container ===

impl Container {
    fn of(status: &Value) -> Self {
        let state = &status["state"];
        let word = |pointer: &str| text(state, pointer).to_owned();
        let state = match (state.get("terminated"), state.get("waiting"), state.get("running")) {
            (Some(ended), ..) => State::Ended {
                exit: ended["exitCode"].as_i64().unwrap_or_default(),
                message: word("/terminated/message"),
                at: word("/terminated/finishedAt").parse().ok(),
            },
            (None, _, Some(_)) => State::Running,
            _ => State::Waiting(word("/waiting/reason"), word("/waiting/message")),
        };
        Self { name: text(status, "/name").to_owned(), state }
    }

    /// Its exit code, once it has one.
    pub(super) fn exit(&self) -> Option<i64> {
        match self.state {
            State::Ended { exit, .. } => Some(exit),
            _ => None,
        }
    }

    /// When it ended.
    fn at(&self) -> Option<Timestamp> {
        match self.state {
            State::Ended { at, .. } => at,
            _ => None,
        }
    }

    /// Seconds since it ended.
    pub(super) fn since(&self, now: Timestamp) -> Option<i64> {
        self.at().map(|at| now.as_second() - at.as_second())
    }

    /// In words.
    pub(super) fn told(&self) -> String {
        match &self.state {
            State::Running => "running".to_owned(),
            State::Waiting(reason, message) => format!("waiting{}{}", with(" ", reason), with(": ", message)),
            State::Ended { exit, message, .. } => format!("exited {exit}{}", with(": ", message.trim())),
        }
    }
}

/// A text behind what leads to it; nothing where there is none.
fn with(lead: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{lead}{text}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_state_is_told_in_the_kubelets_words() {
        let pod = json!({"status": {
        "initContainerStatuses": [{"name": "gate", "state": {"terminated": {"exitCode": 69, "message": "not ready\n"}}}],
        "containerStatuses": [
            {"name": "a", "state": {"running": {}}},
            {"name": "b", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            {"name": "c", "state": {}},
        ]}});
        let told: Vec<_> = of(&pod).iter().map(|one| format!("{}: {}", one.name, one.told())).collect();
        assert_eq!(
            told,
            [
                "gate: exited 69: not ready",
                "a: running",
                "b: waiting ImagePullBackOff: no such image",
                "c: waiting"
            ]
        );
    }
}
