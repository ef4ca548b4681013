//! A Job, by its pods.

use serde_json::Value;

use super::{
    About, Explanation, Surroundings,
    containers::{name, phase, text},
    pod,
};

/// Pods told of one by one.
const TOLD: usize = 10;

/// What is to be said of a Job with these pods, and what its events say, oldest first.
pub(super) fn explain(job: &Value, pods: &[Value], events: &[String], around: &Surroundings) -> Explanation {
    let mut told = Explanation::of("job", name(job), text(job, "/metadata/namespace"));
    let mut parts: Vec<_> = pods.iter().map(|pod| (rank(pod), pod::explain(pod, around))).collect();
    let hang = parts.iter().filter(|(_, part)| part.hangs).count();
    parts.sort_by_key(|(rank, part)| (!part.hangs, *rank));
    if let Some((state, message)) = finished(job) {
        told.say(
            About::State,
            format!("{state}{}", if message.is_empty() { String::new() } else { format!(": {message}") }),
        );
    } else if hang > 0 {
        told.hangs = true;
        told.say(About::State, format!("hangs: {hang} of its {} pods do", pods.len()));
    } else if job.pointer("/spec/suspend").is_some_and(|suspend| suspend == true) {
        let place = format!("-n {} patch job {}", text(job, "/metadata/namespace"), name(job));
        told.say(About::State, "is suspended")
            .say(About::Mend, format!("kubectl {place} -p '{{\"spec\":{{\"suspend\":false}}}}'"));
    } else if pods.is_empty() {
        unmade(job, events, &mut told);
    } else {
        told.say(About::State, format!("is at work: {} pods, none of which hangs", pods.len()));
    }
    if parts.len() > TOLD {
        told.say(About::Note, format!("{} more pods are not told of", parts.len() - TOLD));
    }
    told.parts = parts.into_iter().take(TOLD).map(|(_, part)| part).collect();
    told
}

/// A Job whose pods the API server does not let come about.
fn unmade(job: &Value, events: &[String], told: &mut Explanation) {
    match refusal(events) {
        Some(why) => told.hangs(
            "its pod is refused",
            why,
            "see `curfew check` if this is about a webhook; the Job controller tries again within a minute",
        ),
        None => {
            told.say(About::State, "has no pod, and no event says why").say(
                About::Note,
                format!("kubectl -n {} describe job {}", text(job, "/metadata/namespace"), name(job)),
            );
        }
    }
}

/// The last refusal among its events.
pub(super) fn refusal(events: &[String]) -> Option<&str> {
    events.iter().rev().find_map(|event| event.strip_prefix("FailedCreate: "))
}

/// How it finished, and the controller's words, if it did.
pub(super) fn finished(job: &Value) -> Option<(&str, &str)> {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    let last = conditions.into_iter().flatten().find(|condition| {
        condition["status"] == "True" && (condition["type"] == "Complete" || condition["type"] == "Failed")
    })?;
    Some((text(last, "/type"), text(last, "/message")))
}

/// Those that are not over first.
fn rank(pod: &Value) -> u8 {
    match phase(pod) {
        "Failed" => 1,
        "Succeeded" => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::explain::{gather::tests::around, pod::tests::meshed};

    fn job(status: Value) -> Value {
        json!({"metadata": {"namespace": "load", "name": "work"}, "spec": {}, "status": status})
    }

    fn states(told: &Explanation) -> Vec<&str> {
        told.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn one_whose_pod_hangs_does_and_that_pod_is_told_of_first() {
        let done = json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z"}});
        let running = json!({"running": {}});
        let pods =
            [meshed("a", "main", running.clone(), running.clone()), meshed("b", "main", done, running)];
        let told = explain(&job(json!({})), &pods, &[], &around(None));
        assert!(told.hangs && states(&told)[0] == "hangs: 1 of its 2 pods do", "{told:?}");
        assert_eq!(told.parts[0].object, "pod/b");
    }

    #[test]
    fn one_whose_pods_are_refused_tells_the_api_servers_words() {
        let events = ["SuccessfulCreate: x", "FailedCreate: Error creating: failed calling webhook"]
            .map(str::to_owned);
        let told = explain(&job(json!({})), &[], &events, &around(None));
        assert!(told.hangs && states(&told)[1].contains("failed calling webhook"), "{told:?}");
        let told = explain(&job(json!({})), &[], &[], &around(None));
        assert!(!told.hangs && states(&told)[0].contains("no event says why"), "{told:?}");
    }

    #[test]
    fn one_that_is_finished_or_suspended_does_not_hang() {
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "message": "backoff"}]});
        let told = explain(&job(failed), &[], &[], &around(None));
        assert!(!told.hangs && states(&told) == ["Failed: backoff"], "{told:?}");
        let mut suspended = job(json!({}));
        suspended["spec"]["suspend"] = json!(true);
        assert_eq!(states(&explain(&suspended, &[], &[], &around(None)))[0], "is suspended");
    }
}
