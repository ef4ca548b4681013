//! What the simulated cluster consists of.

use super::*;
use crate::{Leaf, authority::Broken};

/// What a clock shows: some are ahead, some behind.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) ahead: Duration,
    pub(super) behind: Duration,
}

/// Values of one object over time; the place in the list is the version.
pub(super) struct History<T>(pub(super) Vec<(SystemTime, T)>);

/// The Secret, as everybody reads it.
pub(super) enum Secret {
    Absent,
    Foreign,
    Broken(String),
    Held(Box<Authority>),
}

/// The bundles of the webhook configuration's two webhooks, as everybody reads them.
#[derive(Clone, Default)]
pub(super) struct Bundles(pub(super) [Vec<CaCertificate>; 2]);

/// Somebody else who answers in Curfew's place, as its replicas by cert-manager's certificate do until they are replaced.
pub(super) struct Other {
    pub(super) leaf: Leaf,
    pub(super) until: SystemTime,
}

pub(super) struct Replica {
    pub(super) secret_lag: Duration,
    pub(super) bundle_lag: Duration,
    pub(super) remembered: Option<Authority>,
    /// How far its clock is ahead of, or behind, the truth.
    pub(super) clock: Clock,
    pub(super) sightings: Sightings,
    pub(super) broken_since: Option<SystemTime>,
    pub(super) leaf: Option<Leaf>,
    pub(super) frozen_until: SystemTime,
}

// === impl History ===

impl<T> History<T> {
    pub(super) fn version_at(&self, moment: SystemTime) -> usize {
        self.0.partition_point(|(written, _)| *written <= moment).max(1) - 1
    }

    pub(super) fn latest(&self) -> &T {
        &self.0[self.0.len() - 1].1
    }

    pub(super) fn latest_at(&self) -> SystemTime {
        self.0[self.0.len() - 1].0
    }

    /// Goes through only if `seen` is the latest version.
    pub(super) fn write(&mut self, now: SystemTime, seen: usize, value: T) -> bool {
        let goes_through = seen + 1 == self.0.len();
        if goes_through {
            self.0.push((now, value));
        }
        goes_through
    }
}

// === impl Clock ===

impl Clock {
    pub(super) fn shows(self, truth: SystemTime) -> SystemTime {
        truth + self.ahead - self.behind
    }
}

// === impl Bundles ===

impl Bundles {
    pub(super) fn even(bundle: Vec<CaCertificate>) -> Self {
        Self([bundle.clone(), bundle])
    }

    /// What both hold.
    pub(super) fn trusted(&self) -> Vec<CaCertificate> {
        let [one, two] = &self.0;
        one.iter().filter(|ca| two.contains(ca)).cloned().collect()
    }

    pub(super) fn is_uneven(&self) -> bool {
        let [one, two] = &self.0;
        one != two
    }
}

// === impl Secret ===

impl Secret {
    /// Once through its fields and back.
    pub(super) fn stored(authority: &Authority) -> Self {
        match Authority::read(&authority.write()) {
            Ok(authority) => Self::Held(Box::new(authority)),
            Err(Broken { field, why }) => Self::Broken(format!("{field}: {why}")),
        }
    }
}

// === impl Replica ===

impl Replica {
    pub(super) fn judge<'a>(&mut self, secret: &'a Secret, now: SystemTime) -> Stored<'a> {
        let since = *self.broken_since.get_or_insert(now);
        match secret {
            Secret::Broken(why) => return Stored::Broken { why, seen: now.duration_since(since).unwrap() },
            _ => self.broken_since = None,
        }
        match secret {
            Secret::Held(authority) => {
                self.remembered = Some((**authority).clone());
                Stored::Held(authority)
            }
            Secret::Foreign => Stored::Foreign,
            _ => Stored::Absent,
        }
    }
}
