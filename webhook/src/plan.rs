//! What is to be done to a pod, and why. Pure: no clock, no I/O, no Kubernetes client.
//!
//! [`plan`] is the whole of it: a pod, the facts of its namespace, the catalogue and the settings go in, a
//! [`Verdict`] comes out. It starts from the pod as its owner wrote it, undoing in its view what an earlier pass of
//! Curfew did, so a second pass over a patched pod comes to the same plan and nothing is left to patch.

mod added;
mod deliver;
mod finish;
mod gate;
mod hooks;
mod key;
mod kubelets;
mod layout;
mod listing;
mod native;
mod obstacle;
mod ports;
mod prepare;
mod probe;
mod reaper;
mod resources;
mod room;
mod status;
mod strategy;
mod survey;
mod values;
mod wishes;
mod wrap;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use added::{
    AddedContainer, AddedMount, AddedPullSecret, AddedVariable, AddedVolume, DownwardApi, EmptyDir, Image,
    SecurityContext,
};
pub use deliver::{BIN_DIR, BIN_VOLUME, INSTALLER, Install, REAPER, RUN_DIR, RUN_VOLUME, TOKEN_VOLUME};
pub use finish::ExitCodes;
pub use gate::GATE;
pub use hooks::HookEdit;
pub use key::*;
pub use kubelets::{Kubelets, NoVersion, Support, Version};
pub use layout::{Conversion, GatePlace, Move, Place};
pub use native::{Gate, Native, Repair};
pub use prepare::EnvEdit;
pub use probe::ProbeEdit;
pub use reaper::{DONE_DIR, DONE_VOLUME, REAPER_CONTAINER, Reaper, is_done_volume, is_intact, is_reaper};
pub use room::fits;
pub use survey::{Form, Found, Survey};
pub use values::{ControlPort, Net, OnTimeout, Strategy, Wish};
pub use wishes::Wishes;
pub use wrap::{Wrap, own_command};

use crate::{catalogue::Catalogue, config::Settings, pod::Pod};

/// Warnings kept for one pod, and characters of each.
const WARNINGS: usize = 16;
const CHARS: usize = 400;

/// Everything a decision depends on besides the pod.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The pod's namespace.
    pub namespace: &'a Namespace,
    /// What the kubelets it may land on can do.
    pub kubelets: &'a Kubelets,
    /// The rows in force.
    pub catalogue: &'a Catalogue,
    /// Defaults and delivery.
    pub settings: &'a Settings,
    /// Curfew's watch runs on the cluster: it tells pods that their work is done.
    pub watch: bool,
    /// Beats every annotation: somebody at a command line asked for it.
    pub strategy: Option<Wish>,
    /// The pod is of a file: its ServiceAccount has given it nothing yet.
    pub of_file: bool,
}

/// All a strategy looks at.
#[derive(Clone, Copy)]
struct Case<'a> {
    pod: &'a Pod<'a>,
    survey: &'a Survey<'a>,
    wishes: &'a Wishes<'a>,
    context: Context<'a>,
    /// Why no reaper may be added, whatever else is so.
    no_reaper: Option<&'static str>,
}

/// What is known of a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Namespace {
    /// Its annotations: defaults for those of its pods.
    pub annotations: BTreeMap<String, String>,
    /// Its label asks for Curfew: all of its pods come here, but for those that opt out.
    pub labelled: bool,
    /// Why its annotations are not known, where they should be.
    pub unread: Option<String>,
}

/// The outcome of planning.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Not a byte of the pod is to change, and this is why.
    Untouched(&'static str),
    /// The pod is Curfew's business; at least its status is written.
    Planned(Box<Plan>),
}

/// What is to be done to one pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The strategy carried out.
    pub strategy: Strategy,
    /// Why this one.
    pub reason: String,
    /// Name of the workload's row.
    pub workload: String,
    /// Every regular container and known sidecar, and what it was taken for.
    pub containers: BTreeMap<String, String>,
    /// Strategies that come first but do not apply, and why.
    pub passed_over: BTreeMap<Strategy, String>,
    /// What the user should know: key, value and mend.
    pub warnings: Vec<String>,
    /// Annotations of meshes that are set on this pod before an injector reads them.
    pub prepared: Vec<String>,
    /// What follows from the plan that somebody may want to act on.
    pub notes: Vec<String>,
    /// The changes.
    pub edits: Edits,
}

/// Changes to a pod, each of something named.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edits {
    /// Annotations to set, besides the status.
    pub annotations: BTreeMap<String, String>,
    /// Annotations to remove.
    pub remove_annotations: Vec<&'static str>,
    /// Environment variables to set on sidecars.
    pub env: Vec<EnvEdit>,
    /// Commands to replace.
    pub wraps: Vec<Wrap>,
    /// How the wrapper comes into the pod; absent where no command is replaced.
    pub install: Option<Install>,
    /// What ends the sidecars once the watch says that the mains are done; where absent, one of an earlier pass goes.
    pub reaper: Option<Reaper>,
    /// Sidecars to make native; carried out last, so places in the rest are those of the pod as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// Secrets to pull with what is added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<AddedPullSecret>,
}

/// Decides what is to be done to a pod.
pub fn plan(pod: &Pod<'_>, context: Context<'_>) -> Verdict {
    if pod.restart_policy() == "Always" {
        return Verdict::Untouched("its restart policy is Always: what never ends needs no curfew");
    }
    if pod.metadata.label(INJECT_LABEL) == Some("disabled") {
        return Verdict::Untouched("its label curfew.dev/inject is disabled");
    }
    let wishes = Wishes::read(pod, context);
    if wishes.strategy == Wish::Off {
        return Verdict::Untouched("curfew.dev/strategy is off");
    }
    let survey = Survey::of(pod, &wishes, context.kubelets);
    let case = Case { pod, survey: &survey, wishes: &wishes, context, no_reaper: None };
    let plan = of_choice(case, strategy::choose(case));
    if plan.edits.reaper.is_none() || room::takes_reaper(pod, &plan) {
        return Verdict::Planned(Box::new(plan));
    }
    // One that is never told would hold the pod by itself.
    let case = Case { no_reaper: Some(room::NO_ROOM), ..case };
    Verdict::Planned(Box::new(of_choice(case, strategy::choose(case))))
}

/// The plan that follows from what was chosen.
fn of_choice(case: Case<'_>, choice: strategy::Choice) -> Plan {
    let Case { pod, survey, wishes, context, no_reaper } = case;
    let mut warnings = wishes.warnings.clone();
    warnings.extend(survey.warnings.iter().cloned());
    // Told when the pod is made: its status may not fit.
    warnings.extend(no_reaper.map(|why| format!("no {REAPER_CONTAINER}: {why}")));
    warnings.extend(choice.warnings);
    let mut edits = choice.edits;
    if pod.metadata.annotations.contains_key(DONE_ANNOTATION) {
        // Written for another pod, or by somebody else: only the watch may say that this pod is done.
        edits.remove_annotations.push(DONE_ANNOTATION);
    }
    if edits.bring_an_image() {
        let names = &context.settings.reaper.image_pull_secrets;
        if context.of_file && pod.spec.image_pull_secrets.is_empty() && !names.is_empty() {
            // A ServiceAccount gives its own to pods that name none, and to no others.
            warnings.push(format!(
                "reaper.imagePullSecrets: {} not added, as the pod names none and would lose those of its \
                 ServiceAccount; add them to that, or name all of them in the pod",
                names.join(", ")
            ));
        } else {
            edits.pull_secrets = names.iter().map(|name| AddedPullSecret { name: name.clone() }).collect();
        }
    }
    warnings.truncate(WARNINGS);
    Plan {
        strategy: choice.strategy,
        reason: clipped(choice.reason),
        workload: survey.workload_name().to_owned(),
        containers: survey.roles(choice.strategy == Strategy::Native),
        passed_over: choice.passed_over.into_iter().map(|(strategy, why)| (strategy, clipped(why))).collect(),
        warnings: warnings.into_iter().map(clipped).collect(),
        prepared: choice.prepared,
        notes: choice.notes.into_iter().map(clipped).collect(),
        edits,
    }
}

impl<'a> Case<'a> {
    fn own(self) -> prepare::Own<'a> {
        prepare::Own { pod: self.pod, namespace: self.context.namespace }
    }
}

/// Messages quote what users wrote, which may be as long as an annotation; the status has to stay readable.
fn clipped(text: String) -> String {
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

// === impl Edits ===

impl Edits {
    /// Whether this main, by its place in `containers`, is wrapped; not one that only gets its own command back.
    fn wraps_main(&self, main: usize) -> bool {
        self.wraps.iter().any(|wrap| wrap.index == main && !wrap.mounts.is_empty())
    }

    /// Whether something is added whose image has to be pulled.
    fn bring_an_image(&self) -> bool {
        let gated = self.native.as_ref().is_some_and(|native| native.gate.is_some());
        gated || self.install.is_some() || self.reaper.is_some()
    }
}

impl Plan {
    /// The text of the annotation `curfew.dev/status`.
    pub fn status(&self) -> String {
        status::render(self)
    }

    /// The plan as JSON, for people and goldens.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}
