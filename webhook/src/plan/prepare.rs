//! What a mesh must be told so that its proxy ends, or can be told to: before it injects by annotations, afterwards on
//! the container.

use serde::Serialize;

use super::{Case, Found, Namespace, strategy::Choice};
use crate::{
    catalogue::{Held, Hold, Sidecar},
    pod::Pod,
};

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

/// What a pod's owner has told the meshes.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) pod: &'a Pod<'a>,
    pub(super) namespace: &'a Namespace,
}

/// What meshes are told in advance.
#[derive(Clone, Copy)]
pub(super) struct Tell {
    /// To inject native sidecars.
    pub(super) switch: bool,
    /// To open the endpoint that ends a classic one.
    pub(super) shutdown: bool,
    /// To drain for seconds only: a native proxy drains as long as a classic one does.
    pub(super) grace: bool,
    /// To have the mains wait for a classic one.
    pub(super) hold: bool,
}

/// Sets, on a pod no proxy was injected into yet, the annotations injectors read. They are inert where that mesh is
/// absent. What the user has set stays.
pub(super) fn annotations(case: Case<'_>, tell: Tell, choice: &mut Choice) {
    let own = case.own();
    let asked = |row: &&Sidecar| row.asked_by.as_ref().is_none_or(|key| own.value(row, key).is_some());
    for row in case.wishes.catalogue.sidecars.iter().filter(asked) {
        if let Some(hold) = row.hold.as_ref().filter(|_| tell.hold) {
            hold_mains(own, row, hold, choice);
        }
        let mut wanted = Vec::new();
        if tell.switch && own.refuses_switch(row).is_none() {
            wanted.extend(&row.switch);
        }
        if let Some(shutdown) = &row.shutdown {
            // Of one that is there already this would say what is not so.
            let is_there = case.survey.sidecars.iter().any(|found| found.row.name == row.name);
            if tell.shutdown && !is_there {
                wanted.extend(&shutdown.requires.annotations);
            }
            if tell.grace {
                wanted.extend(&shutdown.prefers.annotations);
            }
        }
        for (key, value) in wanted {
            match own.value(row, key) {
                Some(found) if found != value => continue,
                Some(_) => {}
                None => drop(choice.edits.annotations.insert(key.clone(), value.clone())),
            }
            choice.prepared.push(key.clone());
        }
    }
}

fn hold_mains(own: Own<'_>, row: &Sidecar, hold: &Hold, choice: &mut Choice) {
    let key = &hold.annotation;
    match hold.merged_into(own.value(row, key)) {
        Held::With(text) => drop(choice.edits.annotations.insert(key.clone(), text)),
        Held::Already => {}
        Held::Refused => return,
        Held::Unreadable => {
            let what = hold.field.as_deref().unwrap_or(key);
            choice.warnings.push(format!(
                "{key}: no mapping in YAML, so {what} cannot be set in it, and the mains will not wait for {}",
                row.name
            ));
            return;
        }
    }
    choice.prepared.push(key.clone());
}

/// What has to be set on an injected sidecar's container to open its shutdown endpoint.
///
/// # Errors
/// The user has closed it on purpose: names the annotation and the mend.
pub(super) fn env(own: Own<'_>, found: &Found<'_>) -> Result<Vec<EnvEdit>, String> {
    let Some(shutdown) = &found.row.shutdown else { return Ok(Vec::new()) };
    for (key, value) in &shutdown.requires.annotations {
        let name = &found.container.name;
        match own.value(found.row, key) {
            Some(own) if own == value => {}
            Some(other) => {
                return Err(format!(
                    "{key} is `{other}`, so {name} cannot be told to end; set it to `{value}`"
                ));
            }
            // Nothing on the container does the same, and its injector is done.
            None if shutdown.requires.env.is_empty() => {
                return Err(format!(
                    "{key} is not set, so {name} cannot be told to end; set it to `{value}`"
                ));
            }
            None => {}
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

// === impl Own ===

impl<'a> Own<'a> {
    /// An annotation that this sidecar's mesh reads: of the pod, or of its namespace where the mesh looks there, too.
    pub(super) fn value(self, row: &Sidecar, key: &str) -> Option<&'a str> {
        let namespace =
            || self.namespace.annotations.get(key).filter(|_| row.reads_namespace).map(String::as_str);
        self.pod.metadata.annotation(key).or_else(namespace)
    }

    /// The annotation, its value and the one it would need, where the user does not want this sidecar to be native.
    pub(super) fn refuses_switch<'r>(self, row: &'r Sidecar) -> Option<(&'r str, &'a str, &'r str)> {
        row.switch.iter().find_map(|(key, value)| {
            let own = self.value(row, key).filter(|own| own != value)?;
            Some((key.as_str(), own, value.as_str()))
        })
    }

    /// Whether the pod asks the mesh for this sidecar to be native.
    pub(super) fn asks_for(self, row: &Sidecar) -> bool {
        !row.switch.is_empty() && row.switch.iter().all(|(key, value)| self.value(row, key) == Some(value))
    }
}
