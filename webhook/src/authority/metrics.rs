//! What `/metrics` shows of it.

use super::Failure;
use curfew_certs::rotation::Action;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Counts moves.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    moves: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    action: &'static str,
    outcome: &'static str,
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Done,
    /// Another replica was first.
    Conflict,
    /// The API server refuses it, or nothing can be done from here.
    Refused,
    Failed,
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let moves = Family::<Labels, Counter>::default();
        for action in Action::NAMES {
            for outcome in [Outcome::Done, Outcome::Conflict, Outcome::Refused, Outcome::Failed] {
                drop(moves.get_or_create(&Labels { action, outcome: outcome.name() }));
            }
        }
        registry.register(
            "certificate_moves",
            "Steps in keeping the CA and the certificates, by outcome",
            moves.clone(),
        );
        Self { moves }
    }

    pub(super) fn made(&self, action: &'static str, outcome: Outcome) {
        self.moves.get_or_create(&Labels { action, outcome: outcome.name() }).inc();
    }
}

// === impl Outcome ===

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    pub(super) fn of(made: &Result<(), Failure>) -> Self {
        match made {
            Ok(()) => Self::Done,
            Err(Failure::Api(kube::Error::Api(status))) => match status.code {
                409 => Self::Conflict,
                401 | 403 => Self::Refused,
                _ => Self::Failed,
            },
            Err(Failure::Refused(_)) => Self::Refused,
            Err(Failure::Api(_) | Failure::NoAnswer | Failure::Issue(_)) => Self::Failed,
        }
    }
}
