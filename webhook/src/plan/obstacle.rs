//! What keeps every strategy from a pod, whatever its sidecars.

use super::Survey;
use crate::pod::Pod;

/// Why nothing may be done to the pod, if so.
pub(super) fn of_pod(pod: &Pod<'_>, survey: &Survey<'_>) -> Option<String> {
    if pod.spec.host_network == Some(true) {
        // The proxy behind the node's loopback may be somebody else's.
        return Some("spec.hostNetwork is true: the pod's loopback is its node's; unset it".to_owned());
    }
    if pod.is_windows() {
        return Some("the pod asks for Windows: the wrapper is a Linux program".to_owned());
    }
    survey.workload.and_then(|row| row.handled_by.clone())
}
