//! What is counted, for each disruption apart.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use curfew_e2e::Round;

use crate::disruptions::Disruption;

/// All of it. What is under way counts for the disruption during which it began.
#[derive(Default)]
pub(crate) struct Tally {
    parts: RefCell<Vec<Part>>,
    over: Cell<bool>,
}

/// Which disruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// What was counted during one.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) disruption: Disruption,
    pub(crate) name: String,
    began: Instant,
    ended: Option<Instant>,
    pub(crate) pods: Pods,
    pub(crate) jobs: Jobs,
    /// Handshakes that went well, and why the others did not.
    pub(crate) handshakes: usize,
    pub(crate) untrusted: Vec<String>,
}

/// Gated pods.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    /// Those that were to be made.
    pub(crate) wanted: usize,
    /// Those that are.
    pub(crate) made: usize,
    /// Tries that were refused, by the reason.
    pub(crate) refused: BTreeMap<String, usize>,
    /// Tries that the API server itself did not answer.
    pub(crate) unanswered: usize,
    /// From the first try until one is made, at most.
    pub(crate) longest: Duration,
    /// Admitted, and not changed.
    pub(crate) unpatched: BTreeSet<String>,
}

/// Jobs beside the mesh.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) made: usize,
    pub(crate) complete: usize,
    /// Those whose pods were refused at first.
    pub(crate) refused: BTreeSet<String>,
    /// Those that failed, or did not end.
    pub(crate) lost: Vec<String>,
    pub(crate) unpatched: BTreeSet<String>,
    /// From its making to its end, at most.
    pub(crate) longest: Duration,
}

// === impl Tally ===

impl Tally {
    /// From now on this goes on, and that is its name.
    pub(crate) fn begin(&self, disruption: Disruption, name: String) {
        let now = Instant::now();
        let mut parts = self.parts.borrow_mut();
        if let Some(last) = parts.last_mut() {
            last.ended.get_or_insert(now);
        }
        parts.push(Part {
            disruption,
            name,
            began: now,
            ended: None,
            pods: Pods::default(),
            jobs: Jobs::default(),
            handshakes: 0,
            untrusted: Vec::new(),
        });
    }

    /// Nothing new is to be made.
    pub(crate) fn finish(&self) {
        if let Some(last) = self.parts.borrow_mut().last_mut() {
            last.ended.get_or_insert_with(Instant::now);
        }
        self.over.set(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// The disruption that goes on.
    pub(crate) fn now(&self) -> Place {
        Place(self.parts.borrow().len().saturating_sub(1))
    }

    /// Counts something for one of them.
    pub(crate) fn count<T>(&self, place: Place, change: impl FnOnce(&mut Part) -> T) -> Option<T> {
        self.parts.borrow_mut().get_mut(place.0).map(change)
    }

    /// The same for the one that goes on.
    pub(crate) fn shaken(&self, round: Round) {
        self.count(self.now(), |part| {
            part.handshakes += round.accepted;
            part.untrusted.extend(round.refused);
        });
    }

    /// Looks at all of them.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&[Part]) -> T) -> T {
        look(&self.parts.borrow())
    }
}

// === impl Part ===

impl Part {
    pub(crate) fn took(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now).duration_since(self.began)
    }

    /// Tries that Curfew's absence, or anything else but the API server's, cost.
    pub(crate) fn refused(&self) -> usize {
        self.pods.refused.values().sum()
    }

    /// Pods of either kind that slipped through.
    pub(crate) fn unpatched(&self) -> usize {
        self.pods.unpatched.len() + self.jobs.unpatched.len()
    }
}
