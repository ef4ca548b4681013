//! Whether a pod's annotations have room for Curfew's: the API server refuses a pod whose annotations are too large.

use super::{DONE_ANNOTATION, Plan, STATUS};
use crate::pod::{Metadata, Pod};

/// Total size of an object's annotations the API server takes, in bytes: keys and values (`apimachinery`,
/// `TotalAnnotationSizeLimitB`).
const LIMIT: usize = 256 * 1024;
/// What the watch sets to the pod's UID, as long as it will be.
const DONE: (&str, &str) = (DONE_ANNOTATION, "00000000-0000-0000-0000-000000000000");

/// Why a pod gets no reaper though it could have one.
pub(super) const NO_ROOM: &str = "the pod's annotations leave no room, within the 256 KiB the API server takes, for \
                                  curfew.dev/status, which Curfew's watch goes by; shorten them";

/// Whether the pod's annotations still fit with these set.
pub fn fits(metadata: &Metadata<'_>, added: &[(&str, &str)]) -> bool {
    let kept = metadata.annotations.iter().filter(|(key, _)| added.iter().all(|(set, _)| **key != **set));
    let kept = kept.map(|(key, value)| key.len() + value.len());
    let added = added.iter().map(|(key, value)| key.len() + value.len());
    kept.chain(added).sum::<usize>() <= LIMIT
}

/// Whether a plan's reaper would ever be told: the watch goes by the status, and has to add its word.
pub(super) fn takes_reaper(pod: &Pod<'_>, plan: &Plan) -> bool {
    let status = plan.status();
    let set = plan.edits.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    fits(&pod.metadata, &set.chain([(STATUS, status.as_str()), DONE]).collect::<Vec<_>>())
}
