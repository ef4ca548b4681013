//! What would be done to a pod that is yet to be made.

use serde_json::{Value, json};

use super::{About, Explanation};
use crate::{
    admission::Outcome,
    check::{Probe, Status},
    plan::INJECT_LABEL,
};

/// What was found out about a pod that is yet to be made.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// Whether Curfew is asked about it, or why not and what mends that.
    pub(super) asked: Result<(), (String, Option<String>)>,
    /// What the API server would make of it, mesh and all, labelled for Curfew if need be; none without a cluster.
    pub(super) probe: Option<&'a Probe>,
    /// What the planner makes of it as it stands, without any mesh.
    pub(super) planned: &'a Outcome,
}

/// Says what would be done.
pub(super) fn expect(expected: &Expected<'_>, explanation: &mut Explanation) {
    if let Err((why, mend)) = &expected.asked {
        explanation.say(About::State, format!("Curfew is not asked: {why}"));
        match mend {
            Some(mend) => explanation.say(About::Mend, mend.clone()),
            None => return,
        };
    }
    match expected.probe {
        Some(Probe::Made(_)) => match expected.probe.and_then(Probe::status) {
            Some(status) => {
                say(About::Would, &status, explanation);
                let of_a_label = |note: &String| note.contains(INJECT_LABEL);
                if expected.asked.is_err() && status.notes.iter().any(of_a_label) {
                    let text = "this was tried with the label on the pod alone; with it on the namespace the port is kept out of the mesh";
                    explanation.say(About::Note, text);
                }
            }
            // Curfew was asked then, and left it as it was.
            None if matches!(expected.planned, Outcome::Untouched(_)) => {
                planned(expected.planned, explanation);
            }
            None => {
                explanation.say(About::Why, "the API server asked no Curfew about it: see `curfew check`");
                planned(expected.planned, explanation);
            }
        },
        Some(Probe::Refused(message)) => {
            explanation.hangs(
                "it would not be made",
                message.clone(),
                "see `curfew check` if this is about a webhook",
            );
        }
        Some(Probe::Unseen(why)) => {
            explanation.say(About::Unseen, format!("what a mesh injects: {why}"));
            planned(expected.planned, explanation);
        }
        None => planned(expected.planned, explanation),
    }
}

/// What Curfew wrote on a pod, or would.
pub(super) fn say(about: About, status: &Status, explanation: &mut Explanation) {
    explanation.say(about, format!("{}: {}", status.strategy, status.reason));
    for (strategy, why) in &status.passed_over {
        explanation.say(About::Not, format!("{strategy}: {why}"));
    }
    for warning in &status.warnings {
        explanation.say(About::Warning, warning.clone());
    }
    if !status.prepared.is_empty() {
        explanation.say(About::Note, format!("set for the mesh to read: {}", status.prepared.join(", ")));
    }
    for note in &status.notes {
        explanation.say(About::Note, note.clone());
    }
    explanation.hangs |= about == About::Would && status.strategy == "leave";
}

/// What the planner says, which sees no proxy that a mesh would inject.
fn planned(outcome: &Outcome, explanation: &mut Explanation) {
    match outcome {
        Outcome::Untouched(why) => {
            explanation.say(About::Would, format!("nothing: {why}"));
        }
        Outcome::Failed(why) => {
            explanation.say(About::Would, format!("nothing: {why}"));
        }
        Outcome::Planned { plan, .. } => {
            if let Ok(status) = serde_json::from_str(&plan.status()) {
                say(About::Would, &status, explanation);
            }
            explanation.say(About::Note, "as the pod stands: what a mesh would inject is not in it yet");
        }
    }
}

/// A template, or the pod its controller makes of it, as one the API server would take.
pub(super) fn as_made(template: &Value, name: &str) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": template["spec"]});
    let metadata = &template["metadata"];
    for key in ["labels", "annotations", "ownerReferences"] {
        if !metadata[key].is_null() {
            pod["metadata"][key] = metadata[key].clone();
        }
    }
    for owner in pod["metadata"]["ownerReferences"].as_array_mut().into_iter().flatten() {
        // What the API server asks of an owner, which need not be there.
        for (key, value) in [("apiVersion", "batch/v1"), ("uid", "00000000-0000-0000-0000-000000000000")] {
            if owner[key].is_null() {
                owner[key] = json!(value);
            }
        }
    }
    let short: String = name.chars().take(50).collect();
    pod["metadata"]["generateName"] = json!(format!("{short}-"));
    pod
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admission::{Engine, Surroundings},
        check::Unseen,
        config::Config,
        plan::{Kubelets, Namespace},
    };

    fn explained(label: Option<&str>, probe: Option<Probe>) -> Explanation {
        of(json!({}), label, probe)
    }

    fn of(annotations: Value, label: Option<&str>, probe: Option<Probe>) -> Explanation {
        let pod = json!({"metadata": {"annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "command": ["a"]}]}});
        let engine = Engine::new(Config::builtin().expect("rows"));
        let kubelets = Kubelets::default();
        let around = Surroundings { namespace: &Namespace::default(), kubelets: &kubelets, watch: true };
        let planned = engine.decide(pod.clone(), None, around, None);
        let mut explanation = Explanation::of("Job", "a", "load");
        let asked = crate::explain::selection::asked(&pod, "load", label, None);
        expect(&Expected { asked, probe: probe.as_ref(), planned: &planned }, &mut explanation);
        explanation
    }

    fn made(status: Value) -> Probe {
        Probe::Made(Box::new(json!({"metadata": {"annotations": {"curfew.dev/status": status.to_string()}}})))
    }

    fn said(explanation: &Explanation, about: About) -> Vec<&str> {
        explanation.lines.iter().filter(|line| line.about == about).map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn what_the_api_server_would_make_of_it_counts_mesh_and_all() {
        let status = json!({"strategy": "await", "reason": "because", "passedOver": {"native": "old nodes"}, "warnings": ["w"], "notes": ["n"]});
        let told = explained(Some("enabled"), Some(made(status)));
        assert_eq!(said(&told, About::Would), ["await: because"]);
        assert_eq!(
            (said(&told, About::Not), said(&told, About::Warning), said(&told, About::Note)),
            (vec!["native: old nodes"], vec!["w"], vec!["n"])
        );
        assert!(!told.hangs);
        assert!(
            explained(Some("enabled"), Some(made(json!({"strategy": "leave", "reason": "p holds"})))).hangs
        );
    }

    #[test]
    fn without_a_label_both_the_mend_and_what_would_be_are_told() {
        let told = explained(None, Some(made(json!({"strategy": "native", "reason": "because"}))));
        assert!(
            said(&told, About::State)[0].contains("not asked")
                && said(&told, About::Mend)[0].contains("label namespace load")
        );
        assert_eq!(said(&told, About::Would), ["native: because"]);
    }

    #[test]
    fn what_is_so_only_because_the_pod_was_labelled_for_the_dry_run_is_told_to_be() {
        let note = "port 6565 stays in the mesh, as the pod has the label curfew.dev/inject and its namespace has not";
        let status = json!({"strategy": "native", "reason": "because", "notes": [note]});
        let told = explained(None, Some(made(status.clone())));
        assert!(said(&told, About::Note)[1].contains("with it on the namespace"), "{told:?}");
        assert_eq!(said(&explained(Some("enabled"), Some(made(status))), About::Note), [note]);
    }

    #[test]
    fn a_pod_that_wants_nothing_gets_nothing_and_no_search_for_the_reason() {
        let probe = Probe::Made(Box::new(json!({"metadata": {}})));
        let told = of(json!({"curfew.dev/strategy": "off"}), Some("enabled"), Some(probe.clone()));
        assert_eq!(said(&told, About::Would), ["nothing: curfew.dev/strategy is off"]);
        assert!(said(&told, About::Why).is_empty(), "{told:?}");
        let told = explained(Some("enabled"), Some(probe));
        assert!(said(&told, About::Why)[0].contains("asked no Curfew"), "{told:?}");
    }

    #[test]
    fn where_nothing_can_be_tried_the_planner_says_what_it_sees_and_what_it_does_not() {
        let told = explained(Some("enabled"), Some(Probe::Unseen(Unseen("you may not".to_owned()))));
        assert!(said(&told, About::Unseen)[0].contains("you may not"));
        assert!(said(&told, About::Would)[0].starts_with("none: no sidecar"), "{told:?}");
        assert!(
            said(&told, About::Note).last().is_some_and(|note| note.contains("not in it yet")),
            "{told:?}"
        );
        assert!(explained(Some("enabled"), Some(Probe::Refused("quota".to_owned()))).hangs);
    }

    #[test]
    fn an_owner_is_filled_up_so_that_the_api_server_takes_the_pod() {
        let template = json!({"metadata": {"labels": {"a": "b"}, "name": "x", "ownerReferences": [{"kind": "Job", "name": "a"}]}, "spec": {}});
        let pod = as_made(&template, "a");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["apiVersion"], "batch/v1");
        assert_eq!(
            (&pod["metadata"]["generateName"], &pod["metadata"]["name"]),
            (&json!("a-"), &Value::Null)
        );
    }
}
