//! What an explanation depends on besides its object.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{Namespace as NamespaceObject, Node},
    },
    jiff::Timestamp,
};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{
    About, Explanation, Subject, Template, selection,
    template::{self, Expected},
    testrun::Role,
};
use crate::{
    admission::{self, Engine, Outcome},
    check::{self, Probe, Unseen},
    config::Config,
    plan::{INJECT_LABEL, Kubelets, Namespace},
    rescue::{self, denied},
};

/// What an explanation depends on besides its object.
#[derive(Debug)]
pub struct Surroundings {
    /// Rows and defaults.
    pub config: Config,
    /// The namespace's annotations: defaults for its pods.
    pub namespace: Namespace,
    /// Its label that opts in.
    pub label: Option<String>,
    /// Curfew's webhook configuration, where that leaves the namespace out, whatever its label says.
    pub left_out_by: Option<String>,
    /// Why none of these is known.
    pub unread: Option<Unseen>,
    /// What the nodes' kubelets can do.
    pub kubelets: Kubelets,
    /// The time.
    pub now: Timestamp,
}

// === impl Surroundings ===

impl Surroundings {
    /// Where there is no cluster.
    pub fn offline(config: Config) -> Self {
        Self {
            kubelets: config.settings.nodes.kubelets_unseen(),
            config,
            namespace: Namespace::default(),
            label: None,
            left_out_by: None,
            unread: Some(Unseen("there is no cluster".to_owned())),
            now: rescue::now(),
        }
    }

    /// What is known of a namespace, and of the nodes.
    pub(super) async fn of(client: &Client, namespace: &str, config: Config) -> Self {
        let found = Api::<NamespaceObject>::all(client.clone()).get_metadata(namespace).await;
        let found =
            found.map_err(|error| denied(error, "get namespaces", None, &format!("namespace {namespace}")));
        let nodes = Api::<Node>::all(client.clone()).list(&config.settings.nodes.listed()).await;
        let kubelets = match nodes {
            Ok(nodes) => check::abilities(&nodes.items, &config.settings),
            Err(_) => config.settings.nodes.kubelets_unseen(),
        };
        let (unread, metadata) = match found {
            Ok(found) => (None, found.metadata),
            Err(error) => (Some(error.into()), Default::default()),
        };
        let labels: BTreeMap<_, _> = metadata.labels.unwrap_or_default();
        let left_out_by = match unread {
            None => left_out_by(client, namespace, &labels).await,
            Some(_) => None,
        };
        let label = labels.get(INJECT_LABEL).cloned();
        let namespace = Namespace {
            annotations: metadata.annotations.unwrap_or_default(),
            labelled: label.as_deref() == Some("enabled"),
            unread: None,
        };
        Self { config, namespace, label, left_out_by, unread, kubelets, now: rescue::now() }
    }

    /// Whether Curfew is asked about this pod; where nobody knows, it may be.
    pub(super) fn asked(&self, pod: &Value, namespace: &str) -> Result<(), (String, Option<String>)> {
        let asked = selection::asked(pod, namespace, self.label.as_deref(), self.left_out_by.as_deref());
        match &self.unread {
            // Only what the pod itself says is known then, and that needs no mend of the namespace.
            Some(_) => asked.or_else(|(why, mend)| if mend.is_some() { Ok(()) } else { Err((why, None)) }),
            None => asked,
        }
    }

    /// Why Curfew does nothing to this pod, asked or not, if that is what it was told.
    pub(super) fn left_alone(&self, pod: &Value) -> Option<&'static str> {
        match self.decide(pod.clone(), None) {
            Outcome::Untouched(why) => Some(why),
            Outcome::Planned { .. } | Outcome::Failed(_) => None,
        }
    }

    /// What the planner makes of a pod as it stands, or of the template it comes from.
    fn decide(&self, raw: Value, template_of: Option<&Value>) -> Outcome {
        let around = admission::Surroundings {
            namespace: &self.namespace,
            kubelets: &self.kubelets,
            watch: self.config.settings.watch,
        };
        Engine::new(self.config.clone()).decide(raw, template_of, around, None)
    }

    /// What would be done to what is in a file, as far as that can be said. `probes` are of its templates, one for
    /// each; without a cluster there are none.
    pub fn expect(&self, subject: &Subject, namespace: &str, probes: &[Probe]) -> Explanation {
        let mut told = explanation(&subject.object, namespace);
        if let Some(why) = &self.unread {
            told.say(About::Unseen, format!("labels and annotations of the namespace: {why}"));
        }
        let parts = subject.templates.iter().enumerate();
        let parts = parts.map(|(at, template)| self.expect_one(template, namespace, probes.get(at)));
        let roles: Vec<_> = subject.templates.iter().filter_map(|template| template.role).collect();
        if roles.is_empty() {
            for part in parts {
                told.hangs |= part.hangs;
                told.lines.extend(part.lines);
            }
        } else {
            let roles: Vec<_> = roles.into_iter().map(Role::told).collect();
            told.say(About::State, format!("not applied yet; k6-operator makes of it {}", roles.join(", ")));
            told.parts = parts.collect();
            told.hangs = told.parts.iter().any(Explanation::any_hangs);
        }
        told
    }

    /// What would be done to a template.
    pub(super) fn expect_one(
        &self,
        template: &Template,
        namespace: &str,
        probe: Option<&Probe>,
    ) -> Explanation {
        let mut told = explanation(&template.object, namespace);
        let planned = self.decide(template.template.clone(), Some(&template.pod));
        let asked = self.asked(&template.pod, namespace);
        // A label that is missing has a mend of its own.
        let opted_out = matches!(asked, Err((_, None))) || !matches!(planned, Outcome::Planned { .. });
        template::expect(&Expected { asked, probe, planned: &planned }, &mut told);
        if let Some(role) = template.role {
            role.follows(told.hangs || opted_out, &mut told);
        }
        told
    }
}

/// Nothing said yet, of an object by its kind and name.
fn explanation(object: &str, namespace: &str) -> Explanation {
    let (kind, name) = object.split_once('/').unwrap_or(("pod", object));
    Explanation::of(&kind.to_lowercase(), name, namespace)
}

/// Curfew's webhook configuration, where that leaves a namespace out; none where it does not, or may not be read.
async fn left_out_by(client: &Client, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let all = api.list(&ListParams::default()).await.ok()?.items;
    let curfews = all.iter().filter(|one| check::is_curfew(one));
    check::left_out_by(curfews, namespace, Some(labels)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::explain::{gather::tests::around, subjects};

    /// A TestRun of four runners, with these settings of its pods.
    fn run(settings: Value) -> Subject {
        let mut run = json!({"kind": "TestRun", "metadata": {"name": "run"}, "spec": settings});
        run["spec"]["parallelism"] = json!(4);
        run["spec"]["script"] = json!({"configMap": {"name": "m"}});
        subjects("f", &run.to_string()).expect("YAML").remove(0)
    }

    fn labelled(value: &str) -> Value {
        json!({"metadata": {"labels": {(INJECT_LABEL): value}}})
    }

    fn said(told: &Explanation, about: About) -> String {
        let lines = told.lines.iter().filter(|line| line.about == about).map(|line| line.text.as_str());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What is warned of, by role.
    fn warned(told: &Explanation) -> [String; 3] {
        let [initializer, runner, starter] = &told.parts[..] else { panic!("{told:?}") };
        [initializer, runner, starter].map(|part| said(part, About::Warning))
    }

    fn made(strategy: &str) -> Probe {
        let status = json!({"strategy": strategy, "reason": "because"}).to_string();
        Probe::Made(Box::new(json!({"metadata": {"annotations": {"curfew.dev/status": status}}})))
    }

    #[test]
    fn a_testrun_is_told_by_what_would_be_done_to_the_pods_of_its_roles() {
        let told =
            around(Some("enabled")).expect(&run(json!({})), "load", &["native", "await", "switch"].map(made));
        assert!(!told.hangs && told.object == "testrun/run", "{told:?}");
        let state = "not applied yet; k6-operator makes of it an initializer, 4 runners, a starter";
        assert_eq!(said(&told, About::State), state);
        let parts = told.parts.iter().map(|part| (part.object.as_str(), said(part, About::Would)));
        let expected = [
            ("job/run-initializer", "native: because".to_owned()),
            ("job/run-1", "await: because".to_owned()),
            ("job/run-starter", "switch: because".to_owned()),
        ];
        assert_eq!(parts.collect::<Vec<_>>(), expected);
        assert_eq!(said(&told.parts[1], About::Note), "the same goes for each of the 4 runners");
        assert_eq!(warned(&told), ["", "", ""]);
    }

    #[test]
    fn the_planner_takes_its_pods_for_what_they_are_where_nothing_can_be_tried() {
        let told = Surroundings { unread: Some(Unseen("there is no cluster".to_owned())), ..around(None) }
            .expect(&run(json!({})), "", &[]);
        // Once, not for each role.
        assert_eq!(
            said(&told, About::Unseen),
            "labels and annotations of the namespace: there is no cluster"
        );
        assert!(told.parts.iter().all(|part| said(part, About::Unseen).is_empty()), "{told:?}");
        assert!(told.parts.iter().all(|part| said(part, About::Note).contains("not in it yet")), "{told:?}");
        assert!(said(&told.parts[1], About::Note).contains("port 6565 is kept out of the mesh"), "{told:?}");
        assert!(
            said(&told.parts[2], About::Note).contains("requests to port 6565 go past the mesh"),
            "{told:?}"
        );
    }

    #[test]
    fn runners_that_opt_out_take_their_initializer_along_and_both_are_warned_of() {
        let told = around(Some("enabled")).expect(&run(json!({"runner": labelled("disabled")})), "load", &[]);
        for part in &told.parts[..2] {
            assert!(
                said(part, About::State).contains("not asked: its label curfew.dev/inject is `disabled`"),
                "{part:?}"
            );
        }
        let [initializer, runner, starter] = warned(&told);
        assert!(
            initializer.contains("stays at `initialization`") && runner.contains("stays at `started`"),
            "{told:?}"
        );
        assert_eq!(starter, "");
        let told = around(Some("enabled")).expect(
            &run(json!({"runner": labelled("disabled"), "initializer": {}})),
            "load",
            &[],
        );
        assert!(warned(&told)[0].is_empty(), "{told:?}");
    }

    #[test]
    fn a_starter_that_is_left_alone_is_a_test_that_silently_never_starts() {
        let off = json!({"metadata": {"annotations": {"curfew.dev/strategy": "off"}}});
        for starter in [labelled("disabled"), off] {
            let told = around(Some("enabled")).expect(&run(json!({"starter": starter})), "load", &[]);
            let [initializer, runner, starter] = warned(&told);
            assert!(starter.contains("the operator never looks"), "{told:?}");
            assert_eq!((initializer.as_str(), runner.as_str()), ("", ""));
        }
        // What nothing can be done about is a hang, too.
        let told =
            around(Some("enabled")).expect(&run(json!({})), "load", &["await", "await", "leave"].map(made));
        assert!(told.hangs && warned(&told)[2].contains("at `started`, for ever"), "{told:?}");
    }

    #[test]
    fn a_namespace_without_the_label_is_mended_by_the_label() {
        let told = around(None).expect(&run(json!({})), "load", &[]);
        for part in &told.parts {
            assert_eq!(said(part, About::Mend), "kubectl label namespace load curfew.dev/inject=enabled");
        }
        assert_eq!(warned(&told), ["", "", ""]);
    }
}
