//! Which strategy, and why not the ones before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Case, Edits, STRATEGY, Survey, Wishes,
    kubelets::{Kubelets, Support},
    native,
    obstacle::{self, Obstacle},
    ports,
    prepare::{self, Tell},
    wrap,
};

/// What was done to a pod: the value of the label `curfew.dev/applied`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Nothing: there is no sidecar, or none that holds the pod.
    None,
    /// The mesh's own native mode.
    Switch,
    /// The sidecar is made a native one.
    Native,
    /// Commands are wrapped.
    Await,
    /// A container that ends the sidecars is added.
    Reaper,
    /// Nothing applies.
    Leave,
}

/// What a user may wish for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// The first that applies.
    #[default]
    Auto,
    /// The mesh's own native mode.
    Switch,
    /// Make the sidecar a native one.
    Native,
    /// Wrap the commands.
    Await,
    /// Add a container that ends the sidecars.
    Reaper,
    /// Do not touch the pod at all.
    Off,
}

/// Why a strategy is passed over that there is no code for yet.
const LATER: &str = "not carried out by this version";
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
    let Case { pod, survey, wishes, context } = case;
    if !survey.traffic_is_free() || obstacle.is_some_and(|obstacle| obstacle.is_of_the_pod) {
        return;
    }
    let goes_native = may_go_native(wishes, context.kubelets);
    // Named, `native` is Curfew's own work.
    let switch = goes_native.is_ok() && wishes.strategy != Wish::Native;
    let tell = Tell {
        switch,
        shutdown: obstacle.is_none() && wrap::all_mains(pod, survey).is_ok(),
        grace: obstacle.is_none() || switch,
    };
    if let (Wish::Switch, Err(reason)) = (wishes.strategy, goes_native) {
        choice.warn_if_wished(wishes, &reason);
    }
    prepare::annotations(case.own(), &wishes.catalogue, tell, choice);
}

/// There is no sidecar that holds the pod, or not any more, or not yet.
fn nothing_to_do(case: Case<'_>, reason: &'static str, unhindered: bool, choice: &mut Choice) {
    let Case { pod, survey, wishes, context } = case;
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
        None => (Strategy::None, reason.to_owned()),
        Some(found) => {
            (Strategy::Switch, format!("{} is native by its mesh's own switch", found.container.name))
        }
    };
}

fn first_that_applies(case: Case<'_>, choice: &mut Choice) {
    let Case { pod, survey, wishes, context } = case;
    if wishes.strategy != Wish::Await {
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
    match wrap::edits(case) {
        Ok(edits) => {
            choice.strategy = Strategy::Await;
            choice.reason = wrap::reason(survey);
            choice.take(edits);
            choice.warnings.extend(wrap::warnings(survey, wishes));
            choice.notes.extend(wrap::notes(pod, survey));
        }
        Err(reason) => {
            choice.passed_over.insert(Strategy::Await, reason.clone());
            if wishes.strategy == Wish::Await {
                choice.warn_if_wished(wishes, &reason);
            }
            choice.passed_over.insert(Strategy::Reaper, LATER.to_owned());
            let then = match survey.classic().next() {
                Some(found) => format!("{} will hold this pod", found.container.name),
                None => "the main may start before its sidecar is ready".to_owned(),
            };
            choice.reason = format!("{then}: {reason}");
        }
    }
}

/// Whether sidecars may be native ones: by wish, and by what is known of the nodes.
///
/// # Errors
/// Why not: an old kubelet would run such a sidecar as a plain init container, which never ends.
pub(super) fn may_go_native(wishes: &Wishes<'_>, kubelets: &Kubelets) -> Result<(), String> {
    match (wishes.strategy, &kubelets.native) {
        (Wish::Await | Wish::Off, _) => Err(format!("{STRATEGY} is `{}`", wishes.strategy.name())),
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
        let why = match wishes.strategy {
            Wish::Switch => NOT_SWITCHED,
            Wish::Reaper => LATER,
            _ => return,
        };
        let name = wishes.strategy.name();
        self.warnings.push(format!("{STRATEGY}: `{name}` is not possible here: {why}; auto holds"));
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

// === impl Strategy ===

impl Strategy {
    /// As labels, metrics and statuses write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Switch => "switch",
            Self::Native => "native",
            Self::Await => "await",
            Self::Reaper => "reaper",
            Self::Leave => "leave",
        }
    }
}

// === impl Wish ===

impl Wish {
    /// Every value, for messages.
    pub const NAMES: &str = "auto, switch, native, await, reaper, off";

    /// As annotations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Switch => "switch",
            Self::Native => "native",
            Self::Await => "await",
            Self::Reaper => "reaper",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Switch, Self::Native, Self::Await, Self::Reaper, Self::Off]
            .into_iter()
            .find(|wish| wish.name() == text)
            .ok_or_else(|| format!("`{text}` is no strategy (one of {})", Self::NAMES))
    }
}
