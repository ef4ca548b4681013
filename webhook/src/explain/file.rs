//! What is in a file: pods, templates of them, and TestRuns, whose templates are the operator's.

use std::iter::once;

use serde_json::Value;

use super::{
    template::as_made,
    testrun::{self, Role},
};
use crate::inject::{DocumentError, Documents, Found, find};

/// An object in a file.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its kind and name.
    pub object: String,
    /// The namespace it names; none where it names none.
    pub namespace: Option<String>,
    /// Its pod, or the template of its pods; of a TestRun one for each role.
    pub templates: Vec<Template>,
}

/// A pod, or a template of pods.
#[derive(Clone, Debug)]
pub struct Template {
    /// Kind and name of the object that holds it.
    pub object: String,
    /// As it stands there.
    pub template: Value,
    /// As its controller would make it.
    pub pod: Value,
    /// What it is for in a TestRun.
    pub(super) role: Option<Role>,
}

/// All of a text.
///
/// # Errors
/// A document is no YAML.
pub fn subjects(name: &str, text: &str) -> Result<Vec<Subject>, DocumentError> {
    let mut subjects = Vec::new();
    for document in Documents::of(name, text) {
        let value = document?.value;
        let templates = find(&value).into_iter().filter_map(|found| Template::of(&value, found, None));
        subjects
            .extend(templates.map(|template| Subject::of(&value, template.object.clone(), vec![template])));
        let listed = value["items"].as_array().into_iter().flatten();
        let runs = once(&value).chain(listed).filter(|one| one["kind"] == "TestRun" || one["kind"] == "K6");
        subjects.extend(runs.map(testrun));
    }
    Ok(subjects)
}

/// A TestRun, by the Jobs that the operator makes of it.
fn testrun(run: &Value) -> Subject {
    let name = run.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
    let templates = testrun::jobs(run).into_iter().flat_map(|(role, job)| {
        let found = find(&job).into_iter();
        found.filter_map(|found| Template::of(&job, found, Some(role))).collect::<Vec<_>>()
    });
    Subject::of(run, format!("TestRun/{name}"), templates.collect())
}

// === impl Subject ===

impl Subject {
    fn of(object: &Value, name: String, templates: Vec<Template>) -> Self {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        Self { object: name, namespace, templates }
    }
}

// === impl Template ===

impl Template {
    /// What was found in an object.
    pub(super) fn of(holder: &Value, found: Found, role: Option<Role>) -> Option<Self> {
        let template = holder.pointer(&found.pointer)?;
        let name = found.object.rsplit('/').next().unwrap_or_default().to_lowercase();
        let name = if name == "?" { "pod" } else { &name };
        let pod = as_made(found.as_pod.as_ref().unwrap_or(template), name);
        Some(Self { template: template.clone(), pod, object: found.object, role })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_seen_as_the_pod_it_becomes() {
        let text = "kind: Job\nmetadata: {name: work, namespace: load}\nspec: {template: {spec: {restartPolicy: Never, containers: []}}}\n\
                    ---\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {containers: []}\n";
        let subjects = subjects("f", text).expect("YAML");
        assert_eq!(subjects.iter().map(|one| one.object.as_str()).collect::<Vec<_>>(), ["Job/work", "Pod/p"]);
        assert_eq!(subjects[0].namespace.as_deref(), Some("load"));
        let labels = |at: usize| &subjects[at].templates[0].pod["metadata"]["labels"];
        assert_eq!(labels(0)["batch.kubernetes.io/job-name"], "work");
        assert_eq!((&subjects[1].templates[0].pod["kind"], &labels(1)["a"]), (&"Pod".into(), &"b".into()));
    }

    #[test]
    fn a_testrun_is_seen_as_the_pods_of_its_roles_in_a_list_too() {
        let run = "{kind: TestRun, metadata: {name: run, namespace: load}, spec: {parallelism: 4}}";
        for text in [run.to_owned(), format!("{{kind: List, items: [{run}]}}")] {
            let subjects = subjects("f", &text).expect("YAML");
            let [only] = &subjects[..] else { panic!("{subjects:?}") };
            assert_eq!((only.object.as_str(), only.namespace.as_deref()), ("TestRun/run", Some("load")));
            let objects: Vec<_> = only.templates.iter().map(|one| one.object.as_str()).collect();
            assert_eq!(objects, ["Job/run-initializer", "Job/run-1", "Job/run-starter"]);
            assert_eq!(only.templates[1].role, Some(Role::Runner(4)));
            let labels = &only.templates[2].pod["metadata"]["labels"];
            assert_eq!(
                (&labels["k6_cr"], &labels["batch.kubernetes.io/job-name"]),
                (&"run".into(), &"run-starter".into())
            );
        }
    }
}
