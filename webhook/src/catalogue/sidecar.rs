//! Rows about sidecars: how one is recognised, where it listens, how it is told to end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bypass, Evidence, Hold, Native, Port, endpoint::Endpoint};
use crate::pod::{Container, Pod};

/// A helper container that never ends by itself.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sidecar {
    /// The row's name, in statuses and metrics. Lower case, digits and dashes.
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The pod's traffic goes through it, so it is quit after those whose traffic does not.
    #[serde(default)]
    pub carries_traffic: bool,
    /// Names its container may have; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// What proves that a container of that name is the sidecar: any one of these. Where empty, the name does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What its injector, or people by habit, write as the first word of its `command`: a path, or a name looked up in
    /// the image. None where the image's own entrypoint runs. Whoever swaps its image finds here which program the new
    /// one must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Ports its endpoints refer to, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, Port>,
    /// Answers 2xx once the sidecar is ready. GET unless a method is written before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Endpoint>,
    /// How it is told to end; where absent it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,
    /// Its owner ends it where only it still runs: what that is. Such a sidecar holds no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_by: Option<String>,
    /// Its injector looks only at pods with this annotation, so that others need not be told anything in advance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// How its injector is told to have the mains wait for it, where their commands cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The mesh reads its annotations from the pod's namespace, too; the pod's win.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_namespace: bool,
    /// The mesh's own switch for native sidecars: annotations its injector reads; inert where that mesh is absent.
    /// Where the user has set one of them to something else, none of them is set and the sidecar stays classic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub switch: BTreeMap<String, String>,
    /// How it is made a native sidecar where the mesh does not; where absent it never is. The switch is set along
    /// with it: without that an injector that is asked again would inject a second sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// How ports are kept out of its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
}

/// How a sidecar is told to end.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shutdown {
    /// Called when the work is done. POST unless a method is written before it.
    pub url: Endpoint,
    /// Without these the endpoint does not answer. A different value the user has set wins, and then the sidecar
    /// cannot be told to end.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub requires: Settings,
    /// What a user does where it has no shutdown endpoint, by its ports or what it requires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// Set too, unless the user has set something else.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub prefers: Settings,
}

/// The same setting in the two places it can be made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// On the pod, before the mesh injects: its injector reads them; inert where that mesh is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// On the sidecar's container, once it is injected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// A row's endpoints for one pod, ports filled in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Resolved {
    /// `[METHOD=]URL` that answers 2xx once the sidecar is ready.
    pub ready: Option<String>,
    /// `[METHOD=]URL` that ends it.
    pub shutdown: Option<String>,
    /// Command of the hook a native sidecar gets before it is stopped.
    pub pre_stop: Option<Vec<String>>,
}

// === impl Sidecar ===

impl Sidecar {
    /// Keys of all annotations Curfew may write for it.
    pub(super) fn annotations(&self) -> impl Iterator<Item = &String> {
        let settings = self.shutdown.iter().flat_map(|shutdown| [&shutdown.requires, &shutdown.prefers]);
        let lists = self.bypass.iter().flat_map(Bypass::lists).map(|list| &list.annotation);
        let listed = self.native.iter().filter_map(|native| native.listed_in.as_ref());
        settings
            .flat_map(|settings| settings.annotations.keys())
            .chain(self.switch.keys())
            .chain(listed)
            .chain(self.asked_by.as_ref())
            .chain(self.hold.as_ref().map(|hold| &hold.annotation))
            .chain(lists)
    }

    /// The flag of the program that takes its shutdown endpoint: those that carry no traffic go first, as what they
    /// still have to send goes through the others.
    pub fn shutdown_flag(&self) -> &'static str {
        if self.carries_traffic { "--shutdown" } else { "--shutdown-first" }
    }

    /// Whether a container is this sidecar.
    pub fn is(&self, container: &Container<'_>, pod: &Pod<'_>) -> bool {
        self.has_name(container)
            && (self.evidence.is_empty() || self.evidence.iter().any(|e| e.holds(container, pod)))
    }

    /// Whether a container has this sidecar's name, proven or not.
    pub fn has_name(&self, container: &Container<'_>) -> bool {
        self.containers.is_empty() || self.containers.iter().any(|name| container.name == *name)
    }

    /// The endpoints with the ports this pod gives them. A port that is switched off (0) has none.
    pub fn resolve(&self, container: &Container<'_>, pod: &Pod<'_>) -> Resolved {
        let mut ports: BTreeMap<&str, u16> =
            self.ports.iter().map(|(name, port)| (name.as_str(), port.number(container, pod))).collect();
        for (name, port) in &self.ports {
            if port.needs.as_deref().is_some_and(|other| ports.get(other) == Some(&0)) {
                ports.insert(name, 0);
            }
        }
        let resolve = |endpoint: &Endpoint| match endpoint.port_name().and_then(|name| ports.get(name)) {
            Some(0) => None,
            _ => Some(endpoint.resolve(&ports)),
        };
        Resolved {
            ready: self.ready.as_ref().and_then(resolve),
            shutdown: self.shutdown.as_ref().and_then(|shutdown| resolve(&shutdown.url)),
            pre_stop: self.native.as_ref().and_then(|native| native.pre_stop(&ports)),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Nothing to set.
    pub fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.env.is_empty()
    }
}
