//! A plan as RFC 6902 operations against the pod's JSON.
//!
//! A patch that does not apply denies the pod even under `failurePolicy: Ignore`. So operations are minimal, each
//! `test` only asks for the name of an array element about to be edited, and every place an operation names is one
//! the view has seen: a parent that is there and of the right type, an index within its list, a member that is
//! there where it is replaced or removed. The offline commands, which have the pod's tree at hand, apply the patch as
//! well ([`Patch::applied`]), and so do the tests, to whatever JSON they can think of.

mod edit;
mod native;
mod reaper;

use json_patch::PatchError;
use serde::{Serialize, Serializer};
use serde_json::{Value, value::RawValue};

use crate::{
    catalogue::repository,
    plan::{
        APPLIED_LABEL, Edits, EnvEdit, INSTALLER, Install, Plan, ProbeEdit, REAPER_LABEL, Reaper, STATUS,
        Wrap, fits,
    },
    pod::{Container, Metadata, Pod},
};
use edit::Editor;

/// Operations, as the JSON that goes out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Patch {
    json: String,
    operations: usize,
}

/// An environment variable to add.
#[derive(Serialize)]
struct Variable<'a> {
    name: &'a str,
    value: &'a str,
}

/// The operations that carry out a plan. Empty where everything is as planned already.
///
/// `pod` is what is patched, which has to have the containers of the pod that was planned for.
pub fn of(pod: &Pod<'_>, plan: &Plan) -> Patch {
    let mut editor = Editor::default();
    let Edits { annotations, remove_annotations, env, wraps, install, reaper, native, pull_secrets } =
        &plan.edits;

    let Metadata { is_there, labels, annotations: present, .. } = &pod.metadata;
    if !is_there {
        editor.add(format_args!("/metadata"), &serde_json::Map::new());
    }
    let of_reaper = reaper.as_ref().map(|_| (REAPER_LABEL, "true"));
    let own_labels: Vec<_> = [(APPLIED_LABEL, plan.strategy.name())].into_iter().chain(of_reaper).collect();
    editor.set_entries("labels", labels, &own_labels);
    if reaper.is_none() {
        editor.remove_entry("labels", labels, REAPER_LABEL);
    }
    let status = plan.status();
    let mut entries: Vec<_> = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    entries.push((STATUS, &status));
    if !fits(&pod.metadata, &entries) {
        // Better a pod without a status than none; the mesh has to be told all the same.
        entries.pop();
    }
    if fits(&pod.metadata, &entries) && !entries.is_empty() {
        editor.set_entries("annotations", present, &entries);
    }
    for key in remove_annotations {
        editor.remove_entry("annotations", present, key);
    }
    add_volumes(&mut editor, pod, install.as_ref(), reaper.as_ref());
    let present: Vec<_> = pod.spec.image_pull_secrets.iter().map(|secret| &*secret.name).collect();
    editor.append_missing("/spec/imagePullSecrets", &present, pull_secrets, |secret| &secret.name);
    if let Some(Install { init_container, .. }) = install {
        let names: Vec<_> = pod.spec.init_containers.iter().map(|container| &*container.name).collect();
        editor.append_missing("/spec/initContainers", &names, init_container, |container| container.name);
        if let Some(wanted) = init_container {
            renew_installer(&mut editor, &pod.spec.init_containers, &wanted.image);
        }
    }
    for wrap in wraps {
        set_command(&mut editor, &pod.spec.containers[wrap.index], wrap);
    }
    for of_one in env.chunk_by(|a, b| a.index == b.index) {
        set_env(&mut editor, &pod.spec.containers[of_one[0].index], of_one);
    }
    reaper::carry_out(&mut editor, &pod.spec, reaper.as_ref());
    if let Some(native) = native {
        native::carry_out(&mut editor, &pod.spec, native);
    }
    editor.finish()
}

/// All at once, each once: wrappers and reaper have some in common.
fn add_volumes(editor: &mut Editor, pod: &Pod<'_>, install: Option<&Install>, reaper: Option<&Reaper>) {
    let of_install = install.into_iter().flat_map(|install| &install.volumes);
    let mut volumes: Vec<_> = of_install.collect();
    for volume in reaper.into_iter().flat_map(|reaper| &reaper.volumes) {
        if volumes.iter().all(|other| other.name != volume.name) {
            volumes.push(volume);
        }
    }
    let names: Vec<_> = pod.spec.volumes.iter().map(|volume| &*volume.name).collect();
    editor.append_missing("/spec/volumes", &names, volumes, |volume| volume.name);
}

/// A pod made from a patched one brings its installer along, of whatever version that was.
///
/// Another repository is left alone, and so is a digest: somebody sends images through a mirror or pins them, between
/// our two passes even, and would be undone by the second.
fn renew_installer(editor: &mut Editor, containers: &[Container<'_>], wanted: &str) {
    let Some(index) = containers.iter().position(|container| container.name == INSTALLER) else { return };
    let path = format!("/spec/initContainers/{index}");
    editor.guarded(&path, INSTALLER, |editor| renew_image(editor, &path, &containers[index], wanted));
}

fn renew_image(editor: &mut Editor, path: &str, container: &Container<'_>, wanted: &str) {
    let image = container.image.as_deref().unwrap_or_default();
    let pinned = image.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('@'));
    if !pinned && repository(image) == repository(wanted) {
        editor.set(format_args!("{path}/image"), Some(image), wanted);
    }
}

fn set_command(editor: &mut Editor, main: &Container<'_>, wrap: &Wrap) {
    let Wrap { index, container, command, mounts, startup_probe } = wrap;
    let path = format!("/spec/containers/{index}");
    editor.guarded(&path, container, |editor| {
        let own = (!main.command.is_empty()).then_some(&main.command[..]);
        editor.set(format_args!("{path}/command"), own, &command[..]);
        let paths: Vec<_> = main.volume_mounts.iter().map(|mount| &*mount.mount_path).collect();
        editor.append_missing(&format!("{path}/volumeMounts"), &paths, mounts, |mount| mount.mount_path);
        match startup_probe {
            Some(ProbeEdit::Add(probe)) => editor.add(format_args!("{path}/startupProbe"), probe),
            Some(ProbeEdit::Threshold(tries)) => {
                let own = main.startup_probe.and_then(|probe| probe.fields()).unwrap_or_default();
                let own = own.0.get("failureThreshold");
                editor.set(format_args!("{path}/startupProbe/failureThreshold"), own, tries);
            }
            None => {}
        }
    });
}

/// Those the container does not have come in one go, because a list that is not there yet can be added only once.
fn set_env(editor: &mut Editor, sidecar: &Container<'_>, variables: &[EnvEdit]) {
    let path = format!("/spec/containers/{}", variables[0].index);
    editor.guarded(&path, &sidecar.name, |editor| {
        let names: Vec<_> = sidecar.env.iter().map(|variable| &*variable.name).collect();
        let mut missing = Vec::new();
        for EnvEdit { name, value, .. } in variables {
            // Of two of the same name the last one holds.
            let Some(place) = names.iter().rposition(|own| own == name) else {
                missing.push(Variable { name, value });
                continue;
            };
            let (own, path) = (&sidecar.env[place], format!("{path}/env/{place}"));
            editor.guarded(&path, name, |editor| {
                // `value` and `valueFrom` exclude each other.
                if own.value_from.is_some() {
                    editor.remove(format_args!("{path}/valueFrom"));
                }
                editor.set(format_args!("{path}/value"), own.value.as_deref(), value.as_str());
            });
        }
        editor.append_missing(&format!("{path}/env"), &names, &missing, |variable| variable.name);
    });
}

impl Patch {
    /// The list of operations.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.operations
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// A pod with them applied.
    ///
    /// # Errors
    /// They do not apply, which is a mistake in this module.
    pub fn applied(&self, mut raw: Value) -> Result<Value, PatchError> {
        let patch: json_patch::Patch = serde_json::from_str(&self.json).unwrap_or_default();
        json_patch::patch(&mut raw, &patch)?;
        Ok(raw)
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.json)
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}
