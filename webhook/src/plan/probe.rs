//! Startup probes, so that the kubelet does not kill a main that waits for its proxy.

use std::time;

use serde::Serialize;
use serde_json::{Value, json};

use crate::pod::{Container, ProbeFields};

/// The API's thresholds are 32 bits wide.
const LARGEST: u64 = i32::MAX as u64;

/// A change to a main's startup probe.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeEdit {
    /// It has none: this one, cloned from its liveness probe.
    Add(Value),
    /// It has one that gives up too early: the new `failureThreshold`.
    Threshold(u64),
}

/// What to change so that `wait` is added to the time the main is given to start.
///
/// The probe is cloned as it stands, never written anew: an injector may have rewritten its path and port.
pub(super) fn edit(main: &Container<'_>, wait: time::Duration) -> Option<ProbeEdit> {
    let wait = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    if let Some(probe) = &main.startup_probe {
        let probe = probe.fields()?;
        let tries = wait.saturating_add(probe.budget_seconds()).div_ceil(probe.period_seconds());
        return Some(ProbeEdit::Threshold(tries.min(LARGEST)));
    }
    main.liveness_probe?.fields().map(|liveness| ProbeEdit::Add(cloned(liveness, wait)))
}

fn cloned(liveness: ProbeFields, wait: u64) -> Value {
    let threshold = wait.saturating_add(liveness.budget_seconds()).min(LARGEST);
    let ProbeFields(mut probe) = liveness;
    // Asked every second, so that readiness and liveness begin soon after the main does.
    probe.shift_remove("initialDelaySeconds");
    probe.shift_remove("successThreshold");
    probe.insert("periodSeconds".to_owned(), json!(1));
    probe.insert("failureThreshold".to_owned(), json!(threshold));
    Value::Object(probe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    fn edit_of(mut container: Value, wait: u64) -> Option<ProbeEdit> {
        container["name"] = json!("main");
        let raw = json!({"spec": {"containers": [container]}}).to_string();
        let pod = Pod::read(&raw).expect("a pod");
        edit(&pod.spec.containers[0], time::Duration::from_secs(wait))
    }

    #[test]
    fn a_main_without_probes_needs_none() {
        assert_eq!(edit_of(json!({"readinessProbe": {"tcpSocket": {"port": 1}}}), 60), None);
    }

    #[test]
    fn the_liveness_probe_is_cloned_as_it_stands_with_a_threshold_beyond_the_wait() {
        let liveness = json!({"httpGet": {"path": "/app-health/k6/livez", "port": 15020, "scheme": "HTTP", "new": 1},
            "initialDelaySeconds": 5, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
            "failureThreshold": 3, "terminationGracePeriodSeconds": 7});
        let expected = json!({"httpGet": {"path": "/app-health/k6/livez", "port": 15020, "scheme": "HTTP", "new": 1},
            "timeoutSeconds": 1, "periodSeconds": 1, "failureThreshold": 60 + 5 + 30,
            "terminationGracePeriodSeconds": 7});
        assert_eq!(edit_of(json!({"livenessProbe": liveness}), 60), Some(ProbeEdit::Add(expected)));
    }

    #[test]
    fn thresholds_stay_what_the_api_server_takes() {
        let probe = json!({"tcpSocket": {"port": 1}, "periodSeconds": 3600, "failureThreshold": 1_000_000});
        let Some(ProbeEdit::Add(added)) = edit_of(json!({"livenessProbe": probe}), 60) else {
            panic!("a probe")
        };
        assert_eq!(added["failureThreshold"], i32::MAX);
    }

    #[test]
    fn a_startup_probe_of_the_users_own_gives_up_later_by_the_wait() {
        let startup = json!({"exec": {"command": ["true"]}, "periodSeconds": 4, "failureThreshold": 5});
        assert_eq!(edit_of(json!({"startupProbe": startup}), 61), Some(ProbeEdit::Threshold(21)));
    }
}
