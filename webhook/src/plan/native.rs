//! The strategy `native`: classic sidecars become init containers that keep running, which the kubelet ends with the
//! pod. Nobody tells them to go: the kubelet would start them again.

use serde::Serialize;

use super::{
    AddedContainer, AddedVolume, Edits, Move, Survey, Wishes, deliver, gate, hooks,
    layout::{GatePlace, Layout},
    listing,
};
use crate::{config::Settings, pod::Pod};

/// Sidecars that become native, and the gate behind them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Native {
    /// Containers that change their places, one after the other.
    pub moves: Vec<Move>,
    /// Waits for them.
    pub gate: AddedContainer,
    /// Its place.
    pub gate_place: GatePlace,
    /// In the place of its token.
    pub volume: AddedVolume,
}

/// Everything `native` changes.
///
/// # Errors
/// Why it does not apply: the pod would not be a valid one, or nobody could tell when the sidecar is ready.
pub(super) fn edits(
    pod: &Pod<'_>,
    survey: &Survey<'_>,
    wishes: &Wishes<'_>,
    settings: &Settings,
) -> Result<(Edits, String), String> {
    if survey.mains.is_empty() {
        // `containers` must not be empty.
        return Err("no container in the pod is a main".to_owned());
    }
    if let Some(conflict) = gate::conflict(pod) {
        return Err(conflict);
    }
    let mut edits = Edits::default();
    let mut layout = Layout::of(pod, survey);
    let (carriers, others): (Vec<_>, Vec<_>) = survey.classic().partition(|found| found.row.carries_traffic);
    for found in carriers.into_iter().chain(others) {
        let (container, name) = (found.container, &*found.container.name);
        let of_row = format!("sidecar {name} ({})", found.row.name);
        let Some(row) = &found.row.native else {
            return Err(format!("{of_row} may not be made a native one by its row"));
        };
        if found.endpoints.ready.is_none() {
            return Err(format!("{of_row} has no endpoint that says when it is ready"));
        }
        if layout.has(name) {
            return Err(format!("there is an init container {name} already"));
        }
        if !container.restart_policy_rules.is_empty() {
            return Err(format!("{of_row} has restart rules, which a native sidecar cannot have"));
        }
        listing::switch(pod, found, row, &mut edits.annotations)?;
        listing::relist(pod, found, row, &mut edits.annotations);
        let hooks = hooks::edits(container, row, found.endpoints.pre_stop.as_deref())?;
        layout.bring_in(found, row, hooks);
    }
    // All of them, those that were native before too: afterwards one cannot be told from the other.
    let names: Vec<_> = layout.sidecars().collect();
    let found = |name: &&str| survey.sidecars.iter().find(|found| found.container.name == **name);
    let ready: Vec<_> = names.iter().filter_map(|name| found(name)?.endpoints.ready.as_deref()).collect();
    let gate = gate::container(pod, survey, wishes, settings, &ready);
    let (moves, gate_place) = layout.with_gate();
    edits.native = Some(Native { moves, gate, gate_place, volume: deliver::no_token() });
    Ok((edits, reason(pod, &names)))
}

/// Whether an earlier pass may have done all there is to do.
pub(super) fn may_be_done(survey: &Survey<'_>) -> bool {
    !survey.gated.is_empty() && survey.native().any(|found| found.endpoints.ready.is_some())
}

/// One sentence on what is done; the same in a second pass, which no longer sees what was classic.
fn reason(pod: &Pod<'_>, names: &[&str]) -> String {
    let (are, they) = match names {
        [_] => ("is a native sidecar", "it is"),
        _ => ("are native sidecars", "they are"),
    };
    let mut reason = format!(
        "{} {are}, which the kubelet ends with the pod; {} holds the mains until {they} ready",
        names.join(", "),
        gate::GATE
    );
    if pod.restart_policy() == "OnFailure" {
        reason.push_str("; under OnFailure their restarts count against the Job's backoffLimit");
    }
    reason
}
