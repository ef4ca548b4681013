//! Pods and pod templates in whatever object holds them.

use serde_json::{Value, json};

/// A pod or a pod template in an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where it is.
    pub pointer: String,
    /// Kind and name of the object that holds it, for messages.
    pub object: String,
    /// For a template, the pod its controller would make of it: with the owner and the labels that tell workloads
    /// apart. Absent where it is a pod already, or its controller is unknown.
    pub as_pod: Option<Value>,
}

/// The object the search is within.
#[derive(Clone, Copy)]
struct Holder<'a> {
    kind: &'a str,
    name: &'a str,
    /// Each of the Job's pods has an index.
    indexed: bool,
}

/// Finds every Pod and every object with a `spec.containers` list, however deep: Pod, Job, CronJob, List, JobSet and all that
/// embed a pod template.
pub fn find(value: &Value) -> Vec<Found> {
    let mut found = Vec::new();
    walk(value, "", Holder { kind: "object", name: "", indexed: false }, &mut found);
    found
}

fn walk<'a>(value: &'a Value, pointer: &str, mut holder: Holder<'a>, found: &mut Vec<Found>) {
    match value {
        Value::Object(members) => {
            if let Some(kind) = members.get("kind").and_then(Value::as_str) {
                let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("");
                holder = Holder { kind, name, indexed: false };
            }
            holder.indexed |= members.get("completionMode").is_some_and(|mode| mode == "Indexed");
            let is_pod = members.get("kind").is_some_and(|kind| kind == "Pod");
            if is_pod || value.pointer("/spec/containers").is_some_and(Value::is_array) {
                found.push(Found {
                    pointer: pointer.to_owned(),
                    object: format!(
                        "{}/{}",
                        holder.kind,
                        if holder.name.is_empty() { "?" } else { holder.name }
                    ),
                    as_pod: as_pod(value, holder),
                });
                return;
            }
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                walk(member, &format!("{pointer}/{key}"), holder, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), holder, found);
            }
        }
        _ => {}
    }
}

fn as_pod(template: &Value, holder: Holder<'_>) -> Option<Value> {
    let job = match holder.kind {
        "Job" | "JobSet" => holder.name.to_owned(),
        // The controller appends the schedule in minutes since 1970.
        "CronJob" => format!("{}-00000000", holder.name),
        _ => return None,
    };
    let indexed = holder.indexed;
    let mut pod = template.clone();
    let metadata = pod.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    let metadata = metadata.as_object_mut()?;
    if indexed {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if annotations.is_null() {
            *annotations = json!({});
        }
        annotations
            .as_object_mut()?
            .insert("batch.kubernetes.io/job-completion-index".to_owned(), json!("0"));
    }
    metadata.insert("ownerReferences".to_owned(), json!([{"kind": "Job", "name": job, "controller": true}]));
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    let labels = labels.as_object_mut()?;
    labels.insert("batch.kubernetes.io/job-name".to_owned(), json!(job));
    if holder.kind == "JobSet" {
        labels.insert("jobset.sigs.k8s.io/jobset-name".to_owned(), json!(holder.name));
    }
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_templates_are_found_wherever_they_are() {
        let pod = json!({"spec": {"containers": []}});
        let value = json!({"kind": "List", "items": [
            {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}},
            {"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": pod}},
            {"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": pod}}}},
            {"kind": "JobSet", "metadata": {"name": "s"},
                "spec": {"replicatedJobs": [{"name": "w", "template": {"spec": {"template": pod}}}]}},
            {"kind": "TestRun", "metadata": {"name": "t"}, "spec": {"runner": {"image": "k6"}}},
        ]});
        let found = find(&value);
        let objects: Vec<_> = found.iter().map(|found| found.object.as_str()).collect();
        assert_eq!(objects, ["Pod/p", "Job/j", "CronJob/c", "JobSet/s"]);
        for found in found {
            assert!(value.pointer(&found.pointer).is_some(), "{}", found.pointer);
        }
    }

    #[test]
    fn a_jobs_template_is_seen_as_the_pod_it_becomes() {
        let job = json!({"kind": "CronJob", "metadata": {"name": "nightly"},
            "spec": {"jobTemplate": {"spec": {"template": {"metadata": null, "spec": {"containers": []}}}}}});
        let pod = find(&job).remove(0).as_pod.expect("a pod");
        assert_eq!(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"], "nightly-00000000");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "Job");
    }
}
