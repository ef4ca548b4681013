//! The annotation `curfew.dev/status` read back: who is a main, who a sidecar.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::wire::{Declared, Pod};
use crate::plan::{REAPER_CONTAINER, STATUS};

/// As much of the status as the watch goes by.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    strategy: String,
    pub(super) reason: String,
    /// What each container was taken for.
    containers: BTreeMap<String, String>,
}

/// The pod's containers, as its status tells their parts.
pub(super) struct Parts<'a> {
    /// Those whose end is the end of the pod's work. Where there are none the pod was left for it.
    pub(super) mains: Vec<&'a Declared<'a>>,
    /// Regular containers that hold the pod, with the names of their rows.
    pub(super) sidecars: Vec<(&'a str, &'a str)>,
}

// === impl Told ===

impl Told {
    /// Reads it, and says what is wrong where there is nothing to go by.
    pub(super) fn of(pod: &Pod<'_>) -> Result<Self, String> {
        let text = pod.metadata.annotations.get(STATUS).ok_or("there is none")?;
        serde_json::from_str(text).map_err(|error| format!("it cannot be read ({error})"))
    }

    /// The strategy, by a name that cannot be anything.
    pub(super) fn strategy(&self) -> &'static str {
        ["await", "reaper", "leave"].into_iter().find(|name| *name == self.strategy).unwrap_or("other")
    }

    /// Who is who, unless a container with a part is not there, or one that is there has none: such a status was made for
    /// another pod, or came before somebody added to this one.
    pub(super) fn parts<'a>(&'a self, pod: &'a Pod<'a>) -> Result<Parts<'a>, String> {
        let mut parts = Parts { mains: Vec::new(), sidecars: Vec::new() };
        for (name, role) in &self.containers {
            let regular = pod.spec.containers.iter().find(|container| container.name == *name);
            let row = role.split_once(" sidecar ").map(|(_, row)| row);
            match (regular, row) {
                (Some(main), None) if role == "main" => parts.mains.push(main),
                (Some(_), Some(row)) => parts.sidecars.push((name, row)),
                (None, Some(_))
                    if pod.spec.init_containers.iter().any(|container| container.name == *name) => {}
                (None, _) if row.is_some() || role == "main" => {
                    return Err(format!("it names the container {name:?}, which is not in the pod"));
                }
                _ => {}
            }
        }
        if parts.mains.is_empty() && self.strategy() != "leave" {
            return Err("it names no main container".to_owned());
        }
        let is_known = |name: &str| name == REAPER_CONTAINER || self.containers.contains_key(name);
        if let Some(Declared { name, .. }) = pod.spec.containers.iter().find(|c| !is_known(&c.name)) {
            return Err(format!("it does not name the container {:?}, which may be a main", &**name));
        }
        Ok(parts)
    }
}
