//! A plan as RFC 6902 operations against the raw object.
//!
//! A patch that does not apply denies the pod even under `failurePolicy: Ignore`. So operations are minimal, written
//! against the raw JSON and never against a typed round trip, each `test` only asks for the name of an array
//! element about to be edited, and [`checked`] applies the whole patch before it is answered.

mod edit;

use json_patch::{Patch, PatchError};
use serde_json::{Value, json};

use crate::plan::{APPLIED_LABEL, Edits, Install, Plan, ProbeEdit, STATUS, Wrap};
use edit::Editor;

/// Total size of an object's annotations the API server takes, in bytes: keys and values (`apimachinery`,
/// `TotalAnnotationSizeLimitB`).
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// The operations that carry out a plan. Empty where everything is as planned already.
pub fn of(raw: &Value, plan: &Plan) -> Patch {
    let mut editor = Editor::new(raw);
    let Edits { annotations, remove_annotations, env, wraps, install } = &plan.edits;

    editor.set_entries("labels", [(APPLIED_LABEL, plan.strategy.name())]);
    let status = plan.status();
    let mut entries: Vec<_> = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    entries.push((STATUS, &status));
    if fits(raw, &entries) {
        editor.set_entries("annotations", entries);
    }
    for key in remove_annotations {
        editor.remove_entry("annotations", key);
    }
    if let Some(Install { volumes, init_container }) = install {
        editor.append_missing("/spec", "volumes", "name", volumes);
        editor.append_missing("/spec", "initContainers", "name", init_container);
    }
    for Wrap { index, container, command, mounts, startup_probe } in wraps {
        let path = format!("/spec/containers/{index}");
        editor.guarded(&path, container, |editor| {
            editor.set(&path, "command", json!(command));
            editor.append_missing(&path, "volumeMounts", "mountPath", mounts);
            match startup_probe {
                Some(ProbeEdit::Add(probe)) => editor.set(&path, "startupProbe", probe.clone()),
                Some(ProbeEdit::Threshold(tries)) => {
                    editor.set(&format!("{path}/startupProbe"), "failureThreshold", json!(tries));
                }
                None => {}
            }
        });
    }
    for of_one in env.chunk_by(|a, b| a.index == b.index) {
        let path = format!("/spec/containers/{}", of_one[0].index);
        editor.guarded(&path, &of_one[0].container, |editor| {
            editor.set_env(&path, of_one.iter().map(|variable| (&*variable.name, &*variable.value)));
        });
    }
    editor.finish()
}

/// Applies a patch to the raw object.
///
/// # Errors
/// It does not apply: it must not be answered then.
pub fn checked(mut raw: Value, patch: &Patch) -> Result<Value, PatchError> {
    json_patch::patch(&mut raw, patch)?;
    Ok(raw)
}

/// Whether the pod's annotations still fit with these among them: better a pod without a status than none.
fn fits(raw: &Value, added: &[(&str, &str)]) -> bool {
    let present = raw.pointer("/metadata/annotations").and_then(Value::as_object);
    let present =
        present.into_iter().flatten().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len));
    let added = added.iter().map(|(key, value)| key.len() + value.len());
    present.chain(added).sum::<usize>() <= ANNOTATIONS_LIMIT
}
