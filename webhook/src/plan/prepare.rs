//! What a mesh must be told so that its proxy can be told to end: before it injects by annotations, afterwards on
//! the container.

use serde::Serialize;

use super::{Found, strategy::Choice};
use crate::{catalogue::Catalogue, pod::Pod};

/// An environment variable to set on a regular container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvEdit {
    /// Place in `containers`.
    pub index: usize,
    /// The container's name.
    pub container: String,
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Sets, on a pod no proxy was injected into yet, the annotations injectors read. They are inert where that mesh is
/// absent. What the user has set stays.
pub(super) fn annotations(pod: &Pod<'_>, catalogue: &Catalogue, choice: &mut Choice) {
    let present = &pod.metadata.annotations;
    for shutdown in catalogue.sidecars.iter().filter_map(|row| row.shutdown.as_ref()) {
        for (key, value) in shutdown.requires.annotations.iter().chain(&shutdown.prefers.annotations) {
            match present.get(key.as_str()) {
                Some(found) if *found == *value => choice.prepared.push(key.clone()),
                Some(_) => {}
                None => {
                    choice.prepared.push(key.clone());
                    choice.edits.annotations.insert(key.clone(), value.clone());
                }
            }
        }
    }
    choice.prepared.sort();
}

/// What has to be set on an injected sidecar's container to open its shutdown endpoint.
///
/// # Errors
/// The user has closed it on purpose: names the annotation and the mend.
pub(super) fn env(pod: &Pod<'_>, found: &Found<'_>) -> Result<Vec<EnvEdit>, String> {
    let Some(shutdown) = &found.row.shutdown else { return Ok(Vec::new()) };
    for (key, value) in &shutdown.requires.annotations {
        if let Some(other) = pod.metadata.annotations.get(key.as_str()).filter(|other| **other != *value) {
            let name = &found.container.name;
            return Err(format!("{key} is `{other}`, so {name} cannot be told to end; set it to `{value}`"));
        }
    }
    let edit = |(name, value): (&String, &String)| EnvEdit {
        index: found.index,
        container: str::to_owned(&found.container.name),
        name: name.clone(),
        value: value.clone(),
    };
    let container = found.container;
    let required =
        shutdown.requires.env.iter().filter(|(name, value)| container.env_value(name) != Some(value));
    let preferred =
        shutdown.prefers.env.iter().filter(|(name, _)| container.env.iter().all(|var| var.name != **name));
    Ok(required.chain(preferred).map(edit).collect())
}
