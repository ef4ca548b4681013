//! What keeps every strategy from a pod, whatever its sidecars.

use super::Survey;
use crate::pod::Pod;

/// Why nothing may be done to a pod.
pub(super) struct Obstacle {
    /// What and why.
    pub(super) reason: String,
    /// It lies in the pod, so that no mesh need be told anything; otherwise its owner ends the sidecars, for which
    /// native ones do as well.
    pub(super) is_of_the_pod: bool,
}

/// Why nothing may be done to the pod, if so.
pub(super) fn of_pod(pod: &Pod<'_>, survey: &Survey<'_>) -> Option<Obstacle> {
    let of_the_pod = |reason: &str| Some(Obstacle { reason: reason.to_owned(), is_of_the_pod: true });
    if pod.spec.host_network == Some(true) {
        // The proxy behind the node's loopback may be somebody else's.
        return of_the_pod("spec.hostNetwork is true: the pod's loopback is its node's; unset it");
    }
    if pod.is_windows() {
        return of_the_pod("the pod asks for Windows: the wrapper is a Linux program");
    }
    let reason = survey.workload.and_then(|row| row.handled_by.clone())?;
    Some(Obstacle { reason, is_of_the_pod: false })
}
