//! What there is to do about a pod, and when its turn is.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::stuck::Cause;

/// A pod whose reaper is to be told that the mains are done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) pod: Named,
    /// When the last main ended.
    pub(super) finished: Option<SystemTime>,
    /// It was told, and the watch has yet to show it.
    pub(super) again: bool,
}

/// Something to be said about a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) pod: Named,
    pub(super) about: About,
    /// Shared with other pods of which the same is to be said.
    pub(super) text: Arc<str>,
}

/// Which pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Arc<str>,
}

/// What there is to say; each of it once a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// Sidecars hold it although its work is done.
    Stuck(&'static str, Cause),
    /// Nothing is done for it.
    Left,
    /// Its status was made for another pod.
    PassedOver,
}

/// How a request came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Settled {
    /// As it should.
    Done,
    /// The pod is gone: nothing is left to do.
    Gone,
    /// To be tried again: the API server was away, or had too much to do, or something else changed meanwhile.
    Failed,
    /// The API server will not have it, and will hardly change its mind.
    Refused,
}

/// Strategy and cause, as the metric's labels.
pub(super) type Label = (&'static str, &'static str);

/// Due times; none for what is under way.
pub(super) type Agenda = BTreeSet<(Instant, Arc<str>)>;

/// One of them, about one pod.
pub(super) struct Task<T> {
    /// None while it is under way.
    pub(super) at: Option<Instant>,
    pub(super) failures: u32,
    /// Those of them that were refusals.
    pub(super) refusals: u32,
    pub(super) what: T,
}

/// Between tries of one pod: the first pause, and the longest while the API server is away. Jobs wait for it to be back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The longest where it refuses: thousands of pods may be asked about in vain.
const REFUSED: Duration = Duration::from_secs(60);
/// So many refusals of an event are enough, where a namespace's quota takes no more of them, say.
const REFUSALS: u32 = 5;

// === impl Task ===

impl<T> Task<T> {
    /// One more failure, or refusal; how long to wait after it.
    pub(super) fn failed(&mut self, settled: Settled) -> Duration {
        let (first, away) = PAUSES;
        let most = match settled {
            Settled::Refused => {
                self.refusals += 1;
                REFUSED
            }
            _ => away,
        };
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures += 1;
        pause
    }

    /// It was refused so often that it is not worth another try.
    pub(super) fn is_hopeless(&self) -> bool {
        self.refusals >= REFUSALS
    }
}

// === impl About ===

impl About {
    pub(super) fn bit(self) -> u8 {
        match self {
            Self::Stuck(..) => 1,
            Self::Left => 2,
            Self::PassedOver => 4,
        }
    }

    pub(super) fn label(self) -> Option<Label> {
        match self {
            Self::Stuck(strategy, cause) => Some((strategy, cause.name())),
            Self::Left | Self::PassedOver => None,
        }
    }
}

/// Brings a task in line with what is due now: one that is the same stays where it is.
pub(super) fn plan<T>(
    agenda: &mut Agenda,
    uid: &Arc<str>,
    slot: &mut Option<Box<Task<T>>>,
    due: Option<(Instant, T)>,
    is_same: impl Fn(&T, &T) -> bool,
    renew: impl Fn(&mut T, T),
) {
    match (slot.as_mut(), due) {
        (Some(task), Some((_, what))) if is_same(&task.what, &what) => renew(&mut task.what, what),
        (old, due) => {
            if let Some(at) = old.and_then(|task| task.at) {
                agenda.remove(&(at, uid.clone()));
            }
            *slot = due.map(|(at, what)| {
                agenda.insert((at, uid.clone()));
                Box::new(Task { at: Some(at), failures: 0, refusals: 0, what })
            });
        }
    }
}

/// Takes what is due first, if anything is.
pub(super) fn due(agenda: &mut Agenda, now: Instant) -> Option<Arc<str>> {
    agenda.first().filter(|(at, _)| *at <= now)?;
    agenda.pop_first().map(|(_, uid)| uid)
}
