//! What the kubelet and Curfew's watch say of a pod, as far as its end depends on it.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::plan::DONE_ANNOTATION;

/// What the kubelet says of a container that it is at work on.
const BEING_MADE: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// A pod's identity and status. The rest of it is [`crate::pod::Pod`]'s.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) metadata: Metadata,
    pub(super) status: Status,
}

/// `metadata`, as far as it tells one pod from another of its name, and what its reaper was told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) deletion_timestamp: Option<Timestamp>,
    pub(super) owner_references: Option<Vec<Owner>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: Option<bool>,
}

/// `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) phase: String,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
}

/// One of `containerStatuses`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) state: ContainerState,
    pub(super) restart_count: u32,
}

/// `state`: one of them is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
    pub(super) terminated: Option<Terminated>,
}

/// `state.waiting`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
}

/// `state.terminated`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) finished_at: Option<Timestamp>,
}

// === impl State ===

impl State {
    /// Reads it from the pod's JSON.
    pub(super) fn read(raw: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(raw)
    }

    /// What the kubelet says of a regular container; nothing yet, at first.
    pub(super) fn of(&self, container: &str) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().flatten().find(|status| status.name == container)
    }

    /// How this container ended, if it did.
    pub(super) fn terminated(&self, container: &str) -> Option<&Terminated> {
        self.of(container)?.state.terminated.as_ref()
    }

    /// Why it does not run, if it is being started.
    pub(super) fn waiting(&self, container: &str) -> Option<&str> {
        Some(&self.of(container)?.state.waiting.as_ref()?.reason)
    }

    /// Why it does not run and will not by itself, as an image that does not come.
    pub(super) fn held_up(&self, container: &str) -> Option<&str> {
        self.waiting(container).filter(|why| !BEING_MADE.contains(why))
    }

    /// It runs.
    pub(super) fn runs(&self, container: &str) -> bool {
        self.of(container).is_some_and(|it| it.state.waiting.is_none() && it.state.terminated.is_none())
    }

    /// Its reaper has been told that the mains are done: by this pod's UID, as a copied annotation has another's.
    pub(super) fn is_told(&self) -> bool {
        let told = self.metadata.annotations.as_ref().and_then(|all| all.get(DONE_ANNOTATION));
        told.is_some_and(|uid| *uid == self.metadata.uid)
    }

    /// The Job it is of, if it is of one.
    pub(super) fn job(&self) -> Option<&str> {
        let owners = self.metadata.owner_references.iter().flatten();
        let mut jobs = owners.filter(|owner| owner.kind == "Job" && owner.controller == Some(true));
        jobs.next().map(|owner| &*owner.name)
    }

    /// How often its containers were started again, as its Job counts it.
    pub(super) fn restarts(&self) -> u32 {
        let Status { container_statuses, init_container_statuses, .. } = &self.status;
        let all = container_statuses.iter().chain(init_container_statuses).flatten();
        all.map(|status| status.restart_count).fold(0, u32::saturating_add)
    }

    /// All of it has ended.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}
