//! What is in a file: pods, and templates of them.

use serde_json::Value;

use super::{About, Explanation, template::as_made};
use crate::inject::{DocumentError, Documents, find};

/// A pod or a pod template in a file.
#[derive(Clone, Debug)]
pub struct Template {
    /// Kind and name of the object that holds it.
    pub object: String,
    /// The namespace it names; none where it names none.
    pub namespace: Option<String>,
    /// As it stands in the file.
    pub template: Value,
    /// As its controller would make it.
    pub pod: Value,
}

/// All of a text, and what is to be said of objects whose pods somebody else makes.
///
/// # Errors
/// A document is no YAML.
pub fn templates(name: &str, text: &str) -> Result<(Vec<Template>, Vec<Explanation>), DocumentError> {
    let (mut templates, mut others) = (Vec::new(), Vec::new());
    for document in Documents::of(name, text) {
        let value = document?.value;
        for found in find(&value) {
            let Some(template) = value.pointer(&found.pointer) else { continue };
            let pod = found.as_pod.as_ref().unwrap_or(template);
            let name = found.object.rsplit('/').next().unwrap_or_default().to_lowercase();
            let name = if name == "?" { "pod" } else { &name };
            templates.push(Template {
                pod: as_made(pod, name),
                template: template.clone(),
                namespace: value.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
                object: found.object,
            });
        }
        if value["kind"] == "TestRun" || value["kind"] == "K6" {
            let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
            let mut told = Explanation::of("testrun", name, "");
            told.say(About::State, "its pods are made by k6-operator: ask again once it is applied");
            others.push(told);
        }
    }
    Ok((templates, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_seen_as_the_pod_it_becomes_and_a_testrun_is_told_to_have_none() {
        let text = "kind: Job\nmetadata: {name: work, namespace: load}\nspec: {template: {spec: {restartPolicy: Never, containers: []}}}\n\
                    ---\nkind: TestRun\nmetadata: {name: run}\n---\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {containers: []}\n";
        let (templates, others) = templates("f", text).expect("YAML");
        assert_eq!(
            templates.iter().map(|one| one.object.as_str()).collect::<Vec<_>>(),
            ["Job/work", "Pod/p"]
        );
        assert_eq!(templates[0].namespace.as_deref(), Some("load"));
        assert_eq!(templates[0].pod["metadata"]["labels"]["batch.kubernetes.io/job-name"], "work");
        assert_eq!(
            (&templates[1].pod["kind"], &templates[1].pod["metadata"]["labels"]["a"]),
            (&Value::from("Pod"), &Value::from("b"))
        );
        assert_eq!(others[0].object, "testrun/run");
    }
}
