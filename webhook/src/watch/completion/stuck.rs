//! Why sidecars still run although the pod's work is done, and what would help.

use std::time::{Duration, SystemTime};

use super::{
    judge::End,
    told::Told,
    wire::{ContainerStatus, State},
};
use crate::plan::REAPER_CONTAINER;

/// A pod that is held although its mains are finished.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stuck {
    /// The strategy its status tells.
    pub(super) strategy: &'static str,
    /// Why, in a word.
    pub(super) cause: Cause,
    /// Who holds it, why and what helps, for people.
    pub(super) text: String,
}

/// Why a pod is stuck, as a metric tells it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Cause {
    /// The status says that nothing could be done.
    Left,
    /// The watch has not told the reaper.
    NotTold,
    /// Wrapper or reaper said what went wrong.
    Endpoint,
    /// The reaper was told and has not left yet.
    Reaper,
    /// A main was killed, and its wrapper with it.
    Killed,
    /// Nobody said anything.
    Unknown,
}

/// What there is to go by.
pub(super) struct Scene<'a> {
    pub(super) told: &'a Told,
    pub(super) has_reaper: bool,
    pub(super) is_told: bool,
    pub(super) ends: &'a [End<'a>],
    pub(super) reaper: Option<&'a ContainerStatus<'a>>,
}

/// A sidecar that has not ended.
pub(super) struct Holder<'a> {
    pub(super) name: &'a str,
    /// Its row.
    pub(super) row: &'a str,
    /// What it waits for, where it does not run: `CrashLoopBackOff`.
    pub(super) waits: Option<&'a str>,
}

/// How long sidecars may take to go, from the end of the last main.
const PATIENCE: Duration = Duration::from_secs(60);
/// And from when the watch first saw it: it may have been down, and the reaper told only now.
const GRACE: Duration = Duration::from_secs(30);
/// How wrapper and reaper begin what they have to say.
const SIGNATURE: &str = "curfew-reaper: ";
/// The exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

/// How much longer a pod has before it counts as stuck, if its mains ended `at` by some node's clock, which may be
/// wrong in either direction.
pub(super) fn patience(at: Option<SystemTime>, now: SystemTime) -> Duration {
    let age = at.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
    PATIENCE.saturating_sub(age).max(GRACE)
}

/// What helps. Rescue leaves some pods alone and cannot end others, so no more is promised than that it says so.
fn mend(cause: Cause, reaper_waits: Option<&str>) -> &'static str {
    match (cause, reaper_waits) {
        (Cause::Reaper, None) => "See `kubectl get nodes`",
        // `ImagePullBackOff` and its like, of one that ran before: a pod in which it never did is Pending, and not seen here.
        (Cause::Reaper, Some(what)) if what.contains("Image") => {
            "See to it that the node can pull its image, or let `curfew rescue` swap it"
        }
        _ => "`curfew rescue` says whether it can let it go, and how",
    }
}

// === impl Scene ===

impl Scene<'_> {
    /// What holds the pod, if something does: one of its sidecars, or its reaper.
    pub(super) fn explain(&self, holders: &[Holder<'_>]) -> Option<Stuck> {
        let reaper = self.reaper.map(|reaper| &reaper.state).filter(|state| state.holds());
        let names: Vec<_> = holders.iter().map(Holder::described).collect();
        let who = match (&names[..], reaper) {
            ([], None) => return None,
            ([], Some(_)) => format!("container {REAPER_CONTAINER}"),
            ([one], _) => format!("sidecar {one}"),
            (several, _) => format!("sidecars {}", several.join(", ")),
        };
        let (cause, why) = self.cause(reaper);
        let strategy = self.told.strategy();
        let holds = if names.len() > 1 { "hold" } else { "holds" };
        let mend = mend(cause, reaper.and_then(State::waits));
        let text = format!(
            "every main has ended, and {who} still {holds} the pod (strategy {strategy}): {why}. {mend}"
        );
        Some(Stuck { strategy, cause, text })
    }

    fn cause(&self, held_by_reaper: Option<&State<'_>>) -> (Cause, String) {
        if self.told.strategy() == "leave" {
            return (Cause::Left, format!("Curfew left this pod, because {}", self.told.reason));
        }
        if self.has_reaper && !self.is_told {
            let why = "Curfew's watch was down, or may not patch pods/status: see its log";
            return (Cause::NotTold, why.to_owned());
        }
        let reaper = self.reaper.and_then(|reaper| reaper.state.terminated.as_ref());
        let mut said = reaper.into_iter().chain(self.ends.iter().copied()).filter_map(|end| {
            let text = end.message.as_deref()?.trim_end();
            text.strip_prefix(SIGNATURE)
        });
        if let Some(said) = said.next() {
            return (Cause::Endpoint, said.to_owned());
        }
        if let Some(reaper) = held_by_reaper {
            let why = match reaper.waits() {
                None => "has not left yet: its kubelet may be behind".to_owned(),
                Some(what) => format!("does not run: it is in {what}"),
            };
            return (Cause::Reaper, format!("curfew-reaper was told to end it and {why}"));
        }
        let is_killed =
            |end: &&End<'_>| end.exit_code == KILLED || end.reason.as_deref() == Some("OOMKilled");
        if !self.has_reaper && self.ends.iter().any(|end| is_killed(&end)) {
            let why = "a main was killed and its wrapper with it, so nobody told the sidecar; \
                       curfew.dev/net: on puts a reaper beside them";
            return (Cause::Killed, why.to_owned());
        }
        (Cause::Unknown, "neither wrapper nor reaper said why; the sidecar's log may".to_owned())
    }
}

// === impl Holder ===

impl Holder<'_> {
    fn described(&self) -> String {
        let Self { name, row, waits } = self;
        match waits {
            None => format!("{name} ({row})"),
            Some(what) => format!("{name} ({row}, in {what})"),
        }
    }
}

// === impl Cause ===

impl Cause {
    /// As the metric's label has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::NotTold => "not_told",
            Self::Endpoint => "endpoint",
            Self::Reaper => "reaper",
            Self::Killed => "killed",
            Self::Unknown => "unknown",
        }
    }
}
