//! The strategy `native`: classic sidecars become init containers that keep running, which the kubelet ends with the
//! pod. Nobody tells them to go: the kubelet would start them again.

use serde::Serialize;

use super::{
    APPLIED_LABEL, AddedContainer, AddedVolume, Case, Conversion, Edits, Found, Move, Strategy, Survey,
    deliver, gate, hooks,
    layout::{GatePlace, Layout},
    listing,
};
use crate::pod::Pod;

/// Sidecars that become native, and the gate behind them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Native {
    /// What is mended in sidecars that were native before; carried out first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
    /// Containers that change their places, one after the other.
    pub moves: Vec<Move>,
    /// Waits for them; absent where none of them says when it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// What waits for native sidecars.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The init container.
    pub container: AddedContainer,
    /// Its place.
    pub place: GatePlace,
    /// In the place of its token.
    pub volume: AddedVolume,
}

/// What is mended in a sidecar that is an init container already.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// Its name.
    pub container: String,
    /// Its place in `initContainers` as the pod came.
    pub index: usize,
    /// Its restart policy is set again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restart_policy: bool,
    /// Its startup probe goes: the gate asks the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_startup_probe: bool,
}

/// Everything `native` changes.
///
/// # Errors
/// Why it does not apply: the pod would not be a valid one, or nobody could tell when the sidecar is ready.
pub(super) fn edits(case: Case<'_>) -> Result<(Edits, String), String> {
    let Case { pod, survey, wishes, context, .. } = case;
    if survey.mains.is_empty() {
        // `containers` must not be empty.
        return Err("no container in the pod is a main".to_owned());
    }
    let mut edits = Edits::default();
    let mut layout = Layout::of(pod, survey);
    let repairs = survey.native().filter_map(|found| repair(survey, found)).collect();
    let (carriers, others): (Vec<_>, Vec<_>) = survey.classic().partition(|found| found.row.carries_traffic);
    for found in carriers.into_iter().chain(others) {
        let (container, name) = (found.container, &*found.container.name);
        let of_row = format!("sidecar {name} ({})", found.row.name);
        let Some(row) = &found.row.native else {
            return Err(format!("{of_row} may not be made a native one by its row"));
        };
        if found.endpoints.ready.is_none() && found.row.carries_traffic {
            return Err(format!("{of_row} has no endpoint that says when it is ready"));
        }
        if layout.has(name) {
            return Err(format!("there is an init container {name} already"));
        }
        if !container.restart_policy_rules.is_empty() {
            return Err(format!("{of_row} has restart rules, which a native sidecar cannot have"));
        }
        let drop_startup_probe = found.gate_asks_the_same;
        if let Some(why) = survey.probes_hang
            && container.startup_probe.is_some()
            && !drop_startup_probe
        {
            return Err(format!("{of_row} has a startupProbe: {why}"));
        }
        listing::switch(case.own(), found, &mut edits.annotations)?;
        listing::relist(pod, found, row, &mut edits.annotations);
        let hooks = hooks::edits(container, row, found.endpoints.pre_stop.as_deref(), !drop_startup_probe)?;
        layout.bring_in(found, row, Conversion { hooks, drop_startup_probe });
    }
    // All of them, those that were native before too: afterwards one cannot be told from the other.
    let names: Vec<_> = layout.sidecars().collect();
    let found = |name: &&str| survey.sidecars.iter().find(|found| found.container.name == **name);
    let ready: Vec<_> = names.iter().filter_map(|name| found(name)?.endpoints.ready.as_deref()).collect();
    let reason = reason(pod, &names, !ready.is_empty());
    let (moves, gate) = if ready.is_empty() {
        (layout.moves(), None)
    } else if let Some(conflict) = gate::conflict(pod) {
        return Err(conflict);
    } else {
        let container = gate::container(pod, survey, wishes, context.settings, &ready);
        let (moves, place) = layout.with_gate();
        (moves, Some(Gate { container, place, volume: deliver::no_token() }))
    };
    edits.native = Some(Native { repairs, moves, gate });
    Ok((edits, reason))
}

/// Whether an earlier pass may have done all there is to do.
pub(super) fn may_be_done(pod: &Pod<'_>, survey: &Survey<'_>) -> bool {
    let gated = !survey.gated.is_empty() && survey.native().any(|found| found.endpoints.ready.is_some());
    // Without a gate only the label tells.
    let labelled = pod.metadata.label(APPLIED_LABEL) == Some(Strategy::Native.name());
    gated || labelled && survey.native().any(|found| found.row.native.is_some())
}

fn repair(survey: &Survey<'_>, found: &Found<'_>) -> Option<Repair> {
    let (restart_policy, drop_startup_probe) = (found.stripped, survey.replaces_probe(found));
    let container = str::to_owned(&found.container.name);
    (restart_policy || drop_startup_probe).then_some(Repair {
        container,
        index: found.index,
        restart_policy,
        drop_startup_probe,
    })
}

/// One sentence on what is done; the same in a second pass, which no longer sees what was classic.
fn reason(pod: &Pod<'_>, names: &[&str], gated: bool) -> String {
    let (are, they) = match names {
        [_] => ("is a native sidecar", "it is"),
        _ => ("are native sidecars", "they are"),
    };
    let mut reason = format!("{} {are}, which the kubelet ends with the pod", names.join(", "));
    if gated {
        reason.push_str(&format!("; {} holds the mains until {they} ready", gate::GATE));
    }
    if pod.restart_policy() == "OnFailure" {
        reason.push_str("; under OnFailure their restarts count against the Job's backoffLimit");
    }
    reason
}
