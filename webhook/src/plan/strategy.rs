//! Which strategy, and why not the ones before it.

use std::collections::BTreeMap;

use super::{
    Case, Edits, STRATEGY, Strategy, Survey, Wish, Wishes,
    kubelets::{Kubelets, Support},
    native,
    obstacle::{self, Obstacle},
    ports,
    prepare::{self, Tell},
    reaper, wrap,
};

/// Why `switch` is, where a sidecar is classic or nothing waits for it. The same before a conversion and after it.
const NOT_SWITCHED: &str = "the mesh did not inject native sidecars that the mains wait for, asked by its own switch \
                            or not";

/// The outcome of choosing.
pub(super) struct Choice {
    pub(super) strategy: Strategy,
    pub(super) reason: String,
    pub(super) passed_over: BTreeMap<Strategy, String>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) prepared: Vec<String>,
    pub(super) edits: Edits,
}

/// Takes the first strategy that applies.
pub(super) fn choose(case: Case<'_>) -> Choice {
    let Case { pod, survey, wishes, .. } = case;
    let mut choice = Choice {
        strategy: Strategy::Leave,
        reason: String::new(),
        passed_over: BTreeMap::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        prepared: Vec::new(),
        edits: Edits { wraps: wrap::undo(pod), ..Edits::default() },
    };
    let obstacle = obstacle::of_pod(pod, survey);
    if pod.spec.host_network != Some(true) {
        ports::keep_out(case, &mut choice);
    }
    tell_meshes(case, obstacle.as_ref(), &mut choice);
    match (survey.nothing_to_do(), obstacle) {
        (Some(reason), obstacle) => nothing_to_do(case, reason, obstacle.is_none(), &mut choice),
        (None, Some(obstacle)) => {
            choice.warn_if_wished(wishes, &obstacle.reason);
            choice.reason = obstacle.reason;
        }
        (None, None) => first_that_applies(case, &mut choice),
    }
    choice.prepared.sort();
    // Two rows of one mesh may have the same switch.
    choice.prepared.dedup();
    choice
}

/// Tells meshes in advance what helps, as long as none of them carries the pod's traffic.
fn tell_meshes(case: Case<'_>, obstacle: Option<&Obstacle>, choice: &mut Choice) {
    let Case { pod, survey, wishes, context, .. } = case;
    if !survey.traffic_is_free() || obstacle.is_some_and(|obstacle| obstacle.is_of_the_pod) {
        return;
    }
    let goes_native = may_go_native(wishes, context.kubelets);
    // Named, `native` is Curfew's own work.
    let switch = goes_native.is_ok() && wishes.strategy != Wish::Native;
    let named = wishes.strategy == Wish::Reaper;
    let awaited = !named && wrap::all_mains(pod, survey).is_ok();
    let reaped = !awaited && reaper::may_be_added(case).is_ok();
    let tell = Tell {
        switch,
        shutdown: obstacle.is_none() && (awaited || reaped),
        grace: obstacle.is_none() || switch,
        // A native proxy is waited for as it is.
        hold: obstacle.is_none() && reaped && goes_native.is_err(),
    };
    if let (Wish::Switch, Err(reason)) = (wishes.strategy, goes_native) {
        choice.warn_if_wished(wishes, &reason);
    }
    prepare::annotations(case, tell, choice);
}

/// There is no sidecar that holds the pod, or not any more, or not yet.
fn nothing_to_do(case: Case<'_>, reason: String, unhindered: bool, choice: &mut Choice) {
    let Case { pod, survey, wishes, context, .. } = case;
    if may_go_native(wishes, context.kubelets).is_ok()
        && unhindered
        && native::may_be_done(pod, survey)
        && let Ok(done) = native::edits(case)
    {
        choice.go_native(done, survey, wishes);
        return;
    }
    let mut switched = survey.native().filter(|found| case.own().asks_for(found.row));
    (choice.strategy, choice.reason) = match switched.next() {
        None => (Strategy::None, reason),
        Some(found) => {
            (Strategy::Switch, format!("{} is native by its mesh's own switch", found.container.name))
        }
    };
}

fn first_that_applies(case: Case<'_>, choice: &mut Choice) {
    let Case { pod, survey, wishes, context, .. } = case;
    if !matches!(wishes.strategy, Wish::Await | Wish::Reaper) {
        match may_go_native(wishes, context.kubelets).and_then(|()| native::edits(case)) {
            Ok(planned) => return choice.go_native(planned, survey, wishes),
            Err(reason) => {
                if wishes.strategy == Wish::Native {
                    choice.warn_if_wished(wishes, &reason);
                }
                choice.passed_over.insert(Strategy::Native, reason);
            }
        }
        choice.passed_over.insert(Strategy::Switch, NOT_SWITCHED.to_owned());
    }
    choice.warn_if_auto_holds(wishes);
    let mut why_not = None;
    if wishes.strategy != Wish::Reaper {
        match wrap::edits(case) {
            Ok(edits) => {
                choice.notes.extend(reaper::note_on_net(case, &edits));
                choice.notes.extend(wrap::notes_on_hooks(survey, &edits));
                choice.carry_out(Strategy::Await, wrap::reason(survey), edits);
                choice.warnings.extend(wrap::warnings(survey, wishes));
                choice.notes.extend(wrap::notes(pod, survey));
                return;
            }
            Err(reason) => {
                if wishes.strategy == Wish::Await {
                    choice.warn_if_wished(wishes, &reason);
                }
                choice.passed_over.insert(Strategy::Await, reason.clone());
                why_not = Some(reason);
            }
        }
    }
    match reaper::edits(case) {
        Ok(edits) => {
            choice.notes.extend(reaper::notes(case, &edits));
            choice.notes.extend(wrap::notes_on_hooks(survey, &edits));
            if !edits.wraps.is_empty() {
                choice.warnings.extend(wrap::warnings(survey, wishes));
            }
            choice.carry_out(Strategy::Reaper, reaper::reason(survey), edits);
        }
        Err(reason) => {
            if wishes.strategy == Wish::Reaper {
                choice.warn_if_wished(wishes, &reason);
            }
            choice.passed_over.insert(Strategy::Reaper, reason.clone());
            let then = match survey.classic().next() {
                Some(found) => format!("{} will hold this pod", found.container.name),
                None => "the main may start before its sidecar is ready".to_owned(),
            };
            choice.reason = format!("{then}: {}", why_not.unwrap_or(reason));
        }
    }
}

/// Whether sidecars may be native ones: by wish, and by what is known of the nodes.
///
/// # Errors
/// Why not: an old kubelet would run such a sidecar as a plain init container, which never ends.
pub(super) fn may_go_native(wishes: &Wishes<'_>, kubelets: &Kubelets) -> Result<(), String> {
    match (wishes.strategy, &kubelets.native) {
        (Wish::Await | Wish::Reaper | Wish::Off, _) => {
            Err(format!("{STRATEGY} is `{}`", wishes.strategy.name()))
        }
        // Who names it knows the nodes.
        (_, Support::Yes) | (Wish::Native | Wish::Switch, Support::Unknown(_)) => Ok(()),
        (_, Support::No(why) | Support::Unknown(why)) => Err(why.clone()),
    }
}

// === impl Choice ===

impl Choice {
    fn go_native(&mut self, (edits, reason): (Edits, String), survey: &Survey<'_>, wishes: &Wishes<'_>) {
        let wraps = std::mem::take(&mut self.edits.wraps);
        (self.strategy, self.reason) = (Strategy::Native, reason);
        self.take(Edits { wraps, ..edits });
        if wishes.strategy != Wish::Native {
            self.passed_over.insert(Strategy::Switch, NOT_SWITCHED.to_owned());
        }
        self.warn_if_auto_holds(wishes);
        self.warnings.extend(wrap::warnings(survey, wishes));
    }

    /// Somebody named a strategy that did not come about, and another was taken.
    fn warn_if_auto_holds(&mut self, wishes: &Wishes<'_>) {
        if wishes.strategy == Wish::Switch {
            let why = NOT_SWITCHED;
            self.warnings.push(format!("{STRATEGY}: `switch` is not possible here: {why}; auto holds"));
        }
    }

    /// This strategy, with everything it changes.
    fn carry_out(&mut self, strategy: Strategy, reason: String, edits: Edits) {
        (self.strategy, self.reason) = (strategy, reason);
        self.take(edits);
    }

    /// These edits, besides annotations there are already.
    fn take(&mut self, mut edits: Edits) {
        edits.annotations.append(&mut self.edits.annotations);
        self.edits = edits;
    }

    /// Somebody who named a strategy is told that it cannot be had; under auto the status is enough.
    fn warn_if_wished(&mut self, wishes: &Wishes<'_>, reason: &str) {
        if wishes.strategy != Wish::Auto {
            let name = wishes.strategy.name();
            self.warnings.push(format!("{STRATEGY}: `{name}` is not possible here: {reason}"));
        }
    }
}
