//! The kill rule, applied to what a pod's status says. Pure: a pod goes in, a judgement comes out.

use std::time::SystemTime;

use super::{
    pod::Glimpse,
    stuck::{Holder, Scene, Stuck},
    told::{Parts, Told},
    wire::{ContainerStatus, Pod, Terminated},
};
use crate::plan::{DONE_ANNOTATION, REAPER_CONTAINER, REAPER_LABEL, STATUS};

/// What the watch makes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judgement {
    /// Nothing is to be done: a main is at work or will be again, or the pod is being deleted.
    Nothing,
    /// Its status cannot be gone by, and why: it is left as it would be without Curfew.
    PassedOver(String),
    /// Its mains are at work, and Curfew does nothing for it.
    Left {
        /// Why.
        reason: String,
        /// When the pod was started.
        started: Option<SystemTime>,
    },
    /// All of its mains are finished.
    Done(Done),
}

/// A pod whose mains are finished.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Done {
    /// When the last one ended, by the clock of its node.
    pub(super) at: Option<SystemTime>,
    /// Its reaper has not been told yet.
    pub(super) to_tell: bool,
    /// What holds it all the same.
    pub(super) stuck: Option<Box<Stuck>>,
}

impl Glimpse for Judgement {
    fn of(json: &str) -> Self {
        match serde_json::from_str::<Pod<'_>>(json) {
            Ok(pod) => judge(&pod),
            Err(error) => Self::PassedOver(format!("the pod cannot be read ({error})")),
        }
    }
}

fn judge(pod: &Pod<'_>) -> Judgement {
    // The kubelet tells every container to go, sidecars among them.
    if pod.metadata.deletion_timestamp.is_some() {
        return Judgement::Nothing;
    }
    let told = Told::of(pod);
    let (told, parts) =
        match told.as_ref().map_err(Clone::clone).and_then(|told| Ok((told, told.parts(pod)?))) {
            Ok(told) => told,
            Err(why) => return Judgement::PassedOver(format!("{}: {why}", STATUS)),
        };
    let Parts { mains, sidecars } = parts;
    let finished: Option<Vec<_>> = mains
        .iter()
        .map(|main| {
            let end = status(pod, &main.name)?.state.terminated.as_ref()?;
            main.finishing(&pod.spec.restart_policy).contains(end.exit_code).then_some(end)
        })
        .collect();
    // Without a main nothing says that the work is done.
    let Some(ends) = finished.filter(|ends| !ends.is_empty()) else {
        return match told.strategy() {
            "leave" => Judgement::Left { reason: told.reason.clone(), started: pod.status.start_time },
            _ => Judgement::Nothing,
        };
    };
    let has_reaper = pod.metadata.labels.get(REAPER_LABEL).is_some_and(|value| *value == "true");
    let is_told = pod.metadata.annotations.get(DONE_ANNOTATION).is_some_and(|uid| **uid == *pod.metadata.uid);
    let scene = Scene { told, has_reaper, is_told, ends: &ends, reaper: status(pod, REAPER_CONTAINER) };
    let holders = sidecars.into_iter().filter_map(|(name, row)| {
        let state = &status(pod, name)?.state;
        state.holds().then_some(Holder { name, row, waits: state.waits() })
    });
    let holders: Vec<_> = holders.collect();
    Judgement::Done(Done {
        at: ends.iter().filter_map(|end| end.finished_at).max(),
        to_tell: has_reaper && !is_told,
        stuck: scene.explain(&holders).map(Box::new),
    })
}

fn status<'a>(pod: &'a Pod<'_>, name: &str) -> Option<&'a ContainerStatus<'a>> {
    pod.status.container_statuses.iter().find(|status| status.name == *name)
}

/// A main's end, where an explanation wants one.
pub(super) type End<'a> = &'a Terminated<'a>;

#[cfg(test)]
mod tests;
