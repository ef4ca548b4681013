//! Which strategy, and why not the ones before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Edits, STRATEGY, Survey, Wishes, native, obstacle, prepare, wrap};
use crate::{config::Settings, pod::Pod};

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
/// Why `native` is, as long as nobody looks at the nodes: a kubelet before 1.29 would run the sidecar as a plain init
/// container, which never ends.
const NAMED_ONLY: &str = "only where curfew.dev/strategy names it, as the nodes' versions are not known here";

/// The outcome of choosing.
pub(super) struct Choice {
    pub(super) strategy: Strategy,
    pub(super) reason: String,
    pub(super) passed_over: BTreeMap<Strategy, String>,
    pub(super) warnings: Vec<String>,
    pub(super) prepared: Vec<String>,
    pub(super) edits: Edits,
}

/// Takes the first strategy that applies.
pub(super) fn choose(pod: &Pod<'_>, survey: &Survey<'_>, wishes: &Wishes<'_>, settings: &Settings) -> Choice {
    let mut choice = Choice {
        strategy: Strategy::Leave,
        reason: String::new(),
        passed_over: BTreeMap::new(),
        warnings: Vec::new(),
        prepared: Vec::new(),
        edits: Edits { wraps: wrap::undo(pod), ..Edits::default() },
    };
    let obstacle = obstacle::of_pod(pod, survey);
    if let Some(reason) = survey.nothing_to_do() {
        if wishes.strategy == Wish::Native
            && obstacle.is_none()
            && native::may_be_done(survey)
            && let Ok(done) = native::edits(pod, survey, wishes, settings)
        {
            choice.go_native(done, survey, wishes);
            return choice;
        }
        (choice.strategy, choice.reason) = (Strategy::None, reason.to_owned());
        if survey.traffic_is_free() && obstacle.is_none() && wrap::all_mains(pod, survey).is_ok() {
            prepare::annotations(pod, &wishes.catalogue, &mut choice);
        }
        return choice;
    }
    if let Some(reason) = obstacle {
        warn_if_wished(&mut choice, wishes, &reason);
        choice.reason = reason;
        return choice;
    }
    if wishes.strategy == Wish::Native {
        match native::edits(pod, survey, wishes, settings) {
            Ok(planned) => {
                choice.go_native(planned, survey, wishes);
                return choice;
            }
            Err(reason) => {
                warn_if_wished(&mut choice, wishes, &reason);
                choice.passed_over.insert(Strategy::Native, reason);
            }
        }
    } else {
        choice.passed_over.insert(Strategy::Native, NAMED_ONLY.to_owned());
    }
    if [Wish::Switch, Wish::Reaper].contains(&wishes.strategy) {
        choice.warnings.push(format!("{STRATEGY}: `{}` is {LATER}; auto holds", wishes.strategy.name()));
    }
    choice.passed_over.insert(Strategy::Switch, LATER.to_owned());
    match wrap::edits(pod, survey, wishes, settings) {
        Ok(edits) => {
            choice.strategy = Strategy::Await;
            choice.reason = wrap::reason(survey);
            choice.edits = edits;
            choice.warnings.extend(wrap::warnings(survey, wishes));
        }
        Err(reason) => {
            choice.passed_over.insert(Strategy::Await, reason.clone());
            if wishes.strategy == Wish::Await {
                choice.warnings.push(format!("{}: await is not possible here: {reason}", STRATEGY));
            }
            choice.passed_over.insert(Strategy::Reaper, LATER.to_owned());
            let then = match survey.classic().next() {
                Some(found) => format!("{} will hold this pod", found.container.name),
                None => "the main may start before its sidecar is ready".to_owned(),
            };
            choice.reason = format!("{then}: {reason}");
        }
    }
    choice
}

// === impl Choice ===

impl Choice {
    fn go_native(&mut self, planned: (Edits, String), survey: &Survey<'_>, wishes: &Wishes<'_>) {
        let (edits, reason) = planned;
        let wraps = std::mem::take(&mut self.edits.wraps);
        (self.strategy, self.reason, self.edits) = (Strategy::Native, reason, Edits { wraps, ..edits });
        self.passed_over.insert(Strategy::Switch, LATER.to_owned());
        self.warnings.extend(wrap::warnings(survey, wishes));
    }
}

/// Somebody who named a strategy is told that it cannot be had; under auto the status is enough.
fn warn_if_wished(choice: &mut Choice, wishes: &Wishes<'_>, reason: &str) {
    if wishes.strategy != Wish::Auto {
        choice.warnings.push(format!(
            "{}: `{}` is not possible here: {reason}",
            STRATEGY,
            wishes.strategy.name()
        ));
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
