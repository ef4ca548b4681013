//! The gate: an init container behind native sidecars that waits until they are ready.
//!
//! The kubelet starts what comes after a native sidecar as soon as that runs, or once its startup probe has succeeded,
//! which old kubelets get wrong (kubernetes#132826). The gate asks on loopback, which the kubelet cannot reach, and its
//! exit with 69 is a verdict, where a startup probe would restart the proxy for ever.

use super::{Survey, Wishes, added::AddedContainer, deliver, resources, wrap};
use crate::{
    config::Settings,
    pod::{Container, Pod},
};

/// Name of the gate.
pub const GATE: &str = "curfew-gate";

/// The gate for these sidecars. It runs from its own image: nothing has to be installed for it.
pub(super) fn container(
    pod: &Pod<'_>,
    survey: &Survey<'_>,
    wishes: &Wishes<'_>,
    settings: &Settings,
    ready: &[&str],
) -> AddedContainer {
    let mut command = vec![deliver::IN_IMAGE.to_owned(), "await".to_owned()];
    let mut flag = |name: &str, value: &str| command.extend([name.to_owned(), value.to_owned()]);
    for url in ready {
        flag("--ready", url);
    }
    flag("--timeout", &wishes.ready_timeout.to_string());
    if let Some(then) = wrap::on_timeout(survey, wishes) {
        flag("--on-timeout", then);
    }
    // The default, as nothing else is said of the container's.
    flag("--message", "/dev/termination-log");
    deliver::container(GATE, command, resources::of_largest(pod, &survey.mains, settings), pod, settings)
}

/// Why there cannot be a gate, if so: something else has a name of it.
pub(super) fn conflict(pod: &Pod<'_>) -> Option<String> {
    let in_the_way = |container: &Container<'_>| container.name == GATE && !is_gate(container);
    let Pod { spec, .. } = pod;
    if spec.containers.iter().any(|c| c.name == GATE) || spec.init_containers.iter().any(in_the_way) {
        return Some(format!("container name {GATE} is taken; rename it"));
    }
    let taken = !deliver::has_been_here(pod) && spec.volumes.iter().any(deliver::takes_no_token);
    taken.then(|| format!("volume name {} is taken; rename it", deliver::TOKEN_VOLUME))
}

/// Where the gate of an earlier pass is.
pub(super) fn place(pod: &Pod<'_>) -> Option<usize> {
    pod.spec.init_containers.iter().position(is_gate)
}

/// The endpoints it waits for.
pub(super) fn waits_for<'a>(pod: &'a Pod<'_>) -> Vec<&'a str> {
    let Some(place) = place(pod) else { return Vec::new() };
    let command = &pod.spec.init_containers[place].command;
    command.windows(2).filter(|words| words[0] == "--ready").map(|words| &*words[1]).collect()
}

/// Whether a container is the gate, and not only called so.
pub(super) fn is_gate(container: &Container<'_>) -> bool {
    let [program, verb, ..] = &container.command[..] else { return false };
    container.name == GATE
        && *program == deliver::IN_IMAGE
        && *verb == "await"
        && !container.is_native_sidecar()
}
