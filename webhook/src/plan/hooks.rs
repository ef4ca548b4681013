//! Hooks: of a sidecar that becomes a native one, and what the kubelet waits for before it starts the next container.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{catalogue::Native, pod::Container};

/// A change to a container's `lifecycle`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HookEdit {
    /// Remove this hook; others stay.
    Drop(&'static str),
    /// Add this `preStop` hook to the others.
    PreStop(Value),
    /// Make this the whole of it.
    Whole(Value),
    /// Remove it: nothing is left in it.
    Remove,
}

/// What changes: the row's hooks are dropped, its `preStop` is added where there is none.
///
/// A native sidecar without any probe keeps a `lifecycle`, if an empty one: should a later hook strip its
/// `restartPolicy`, the API server refuses the pod, which otherwise would wait for it for ever.
///
/// # Errors
/// `lifecycle` is nothing the API server would take.
pub(super) fn edits(
    container: &Container<'_>,
    row: &Native,
    pre_stop: Option<&[String]>,
    keeps_startup_probe: bool,
) -> Result<Vec<HookEdit>, String> {
    let own: Option<Map<String, Value>> = match container.lifecycle.map(|raw| serde_json::from_str(raw.get()))
    {
        None => None,
        Some(Ok(own)) => Some(own),
        Some(Err(_)) => return Err(format!("the lifecycle of {} is no object", container.name)),
    };
    let hooks = own.iter().flatten();
    let is_dropped = |hook: &str, value: &Value| match hook {
        "postStart" => begins_with(value, &row.drop_post_start),
        "preStop" => begins_with(value, &row.drop_pre_stop),
        _ => false,
    };
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (hook, value) in hooks {
        match ["postStart", "preStop"].into_iter().find(|name| name == hook) {
            Some(name) if is_dropped(name, value) => dropped.push(name),
            _ => kept.push((hook, value)),
        }
    }
    let has_pre_stop = kept.iter().any(|(hook, value)| *hook == "preStop" && !value.is_null());
    let added = pre_stop.filter(|_| !has_pre_stop).map(|command| json!({"exec": {"command": command}}));
    if !kept.is_empty() {
        let dropped = dropped.into_iter().map(HookEdit::Drop);
        return Ok(dropped.chain(added.map(HookEdit::PreStop)).collect());
    }
    let startup = container.startup_probe.filter(|_| keeps_startup_probe);
    let has_probe = startup.or(container.readiness_probe).or(container.liveness_probe).is_some();
    Ok(match added {
        Some(hook) => vec![HookEdit::Whole(json!({"preStop": hook}))],
        // Empty, and to stay so.
        None if own.is_some() && dropped.is_empty() => Vec::new(),
        None if !has_probe => vec![HookEdit::Whole(json!({}))],
        None if own.is_some() => vec![HookEdit::Remove],
        None => Vec::new(),
    })
}

/// Whether a container has a hook that the kubelet sees through before it starts the next one.
pub(super) fn has_post_start(container: &Container<'_>) -> bool {
    let lifecycle = container.lifecycle.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    lifecycle.is_some_and(|hooks| hooks["postStart"].is_object())
}

/// Whether a hook executes a command that begins with these words.
fn begins_with(hook: &Value, words: &[String]) -> bool {
    let command = hook.pointer("/exec/command").and_then(Value::as_array);
    !words.is_empty()
        && command.is_some_and(|command| {
            command.len() >= words.len() && command.iter().zip(words).all(|(own, word)| own == word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    /// The edits of a container with this lifecycle, by a row that drops `wait` and `sleep`.
    fn of(lifecycle: &Value, probe: bool, pre_stop: Option<&[String]>) -> Vec<HookEdit> {
        let mut container = json!({"name": "proxy", "lifecycle": lifecycle});
        if probe {
            container["readinessProbe"] = json!({"tcpSocket": {"port": 1}});
        }
        let raw = json!({"spec": {"containers": [container]}}).to_string();
        let pod = Pod::read(&raw).expect("a pod");
        let row = Native {
            drop_post_start: vec!["wait".to_owned()],
            drop_pre_stop: vec!["sleep".to_owned()],
            ..Native::default()
        };
        edits(&pod.spec.containers[0], &row, pre_stop, true).expect("edits")
    }

    fn exec(program: &str) -> Value {
        json!({"exec": {"command": [program, "1"]}})
    }

    #[test]
    fn hooks_of_the_classic_form_go_and_the_users_own_stay() {
        let both = json!({"postStart": exec("wait"), "preStop": exec("sleep")});
        assert_eq!(of(&both, true, None), [HookEdit::Remove]);
        let own = json!({"postStart": exec("wait"), "preStop": exec("drain")});
        assert_eq!(of(&own, true, None), [HookEdit::Drop("postStart")]);
        assert_eq!(of(&json!({"postStart": exec("mine")}), true, None), []);
        assert_eq!(of(&json!({"postStart": {"httpGet": {"port": 1}}}), true, None), []);
    }

    #[test]
    fn the_rows_hook_is_added_where_there_is_none() {
        let words = ["drain".to_owned()];
        let hook = json!({"exec": {"command": ["drain"]}});
        let whole = [HookEdit::Whole(json!({"preStop": hook}))];
        assert_eq!(of(&Value::Null, true, Some(&words)), whole);
        assert_eq!(of(&json!({"postStart": exec("wait")}), true, Some(&words)), whole);
        assert_eq!(of(&json!({"preStop": exec("mine")}), true, Some(&words)), []);
        let beside = json!({"stopSignal": "SIGINT", "preStop": exec("sleep")});
        assert_eq!(of(&beside, true, Some(&words)), [HookEdit::Drop("preStop"), HookEdit::PreStop(hook)]);
    }

    #[test]
    fn without_any_probe_there_is_always_a_lifecycle() {
        let empty = [HookEdit::Whole(json!({}))];
        assert_eq!(of(&Value::Null, false, None), empty);
        assert_eq!(of(&json!({"postStart": exec("wait")}), false, None), empty);
        assert_eq!(of(&json!({}), false, None), []);
        assert_eq!(of(&Value::Null, true, None), []);
    }
}
