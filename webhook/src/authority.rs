//! A CA of Curfew's own: kept in one Secret, trusted by the webhook configuration, renewed without a restart.
//!
//! [`curfew_certs::rotation`] decides; this looks at the two objects and carries the decisions out. Every replica
//! does the same, and the Secret's resource version lets one of them through.

mod act;
mod configuration;
mod metrics;
mod place;
mod secret;
#[cfg(test)]
mod tests;

pub use place::Place;

use crate::{
    serve::{Gate, Readiness, Ready},
    watch::pauses,
};
use act::Failure;
use configuration::Configuration;
use curfew_certs::{
    Authority, IssueError, Leaf, Resolver, SubjectName,
    rotation::{self, Action, Move, Scene, Serving, Sightings, Stored, Times},
};
use futures_util::{StreamExt, future::try_join, stream::BoxStream};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use metrics::{Metrics, Outcome};
use prometheus_client::registry::Registry;
use secret::Content;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{sleep, timeout};

/// One replica's part in keeping it.
#[must_use = "nothing is served until the keeper runs"]
pub struct Keeper {
    place: Place,
    names: Vec<SubjectName>,
    times: Times,
    resolver: Resolver,
    metrics: Metrics,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    /// As last seen; nothing before the first look.
    secret: Option<Content>,
    configuration: Option<Configuration>,
    broken_since: Option<Duration>,
    remembered: Option<Authority>,
    sightings: Sightings,
    leaf: Option<Leaf>,
    readiness: Readiness,
    /// Shut while nothing is served that API servers could trust.
    gate: Option<Gate>,
}

/// One moment: lives are judged by the clock on the wall, waits by one that nobody sets.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: SystemTime,
    /// Since this process began to look.
    running: Duration,
}

/// How long a write may take: what else is to be done must not wait for one that hangs.
const ANSWER: Duration = Duration::from_secs(10);
/// What readiness waits for.
const GATE: &str = "a certificate API servers trust";
/// A rest after each attempt. Whoever else writes to the same objects, with another opinion, is not raced.
const REST: Duration = Duration::from_millis(250);

// === impl Keeper ===

impl Keeper {
    /// A keeper that puts what it serves into `resolver`; ready while that is valid.
    ///
    /// # Errors
    /// As [`Place::names`].
    pub fn new(
        client: Client,
        place: Place,
        times: Times,
        resolver: Resolver,
        readiness: Readiness,
        registry: &mut Registry,
    ) -> Result<Self, IssueError> {
        Ok(Self {
            names: place.names()?,
            secrets: Api::namespaced(client.clone(), &place.namespace),
            configurations: Api::all(client),
            place,
            times,
            resolver,
            metrics: Metrics::new(registry),
            secret: None,
            configuration: None,
            broken_since: None,
            remembered: None,
            sightings: Sightings::default(),
            leaf: None,
            gate: Some(readiness.gate(GATE)),
            readiness,
        })
    }

    /// Keeps it for as long as this is polled.
    pub async fn run(mut self) {
        let mut secrets = followed(self.secrets.clone(), &self.place.secret);
        let mut configurations = followed(self.configurations.clone(), &self.place.configuration);
        let start = Instant::now();
        loop {
            let due = self.sightings.until_next(self.times.hold, start.elapsed());
            let pause = due.unwrap_or(Duration::MAX).min(self.times.look());
            tokio::select! {
                Some(seen) = secrets.next() => match seen {
                    Ok(secret) => self.secret = Some(Content::of(secret)),
                    Err(error) => self.blind("Secret", &self.place.secret, &error),
                },
                Some(seen) = configurations.next() => match seen {
                    Ok(found) => self.configuration = Some(Configuration::of(found)),
                    Err(error) => {
                        self.blind("MutatingWebhookConfiguration", &self.place.configuration, &error);
                    }
                },
                () = sleep(pause) => {}
            }
            let tried = self.keep(Moment { wall: SystemTime::now(), running: start.elapsed() }).await;
            if tried {
                sleep(REST).await;
            }
        }
    }

    /// Looks at what was last seen and does what follows; tells whether anything did.
    async fn keep(&mut self, now: Moment) -> bool {
        let mut moves = self.moves(now);
        let tries = !moves.is_empty();
        // A watch may stand still, and what was seen by it be old. A leaf of the same CA needs no more than that.
        if !moves.iter().all(|found| self.renews(&found.action)) {
            match self.look_again().await {
                Ok(()) => moves = self.moves(now),
                Err(error) => {
                    tracing::warn!(%error, "Certificates: cannot see how things are, trying again");
                    moves.retain(|found| self.renews(&found.action));
                }
            }
        }
        for Move { action, reason } in moves {
            let made = timeout(ANSWER, self.make(&action, now.wall)).await.unwrap_or(Err(Failure::NoAnswer));
            let (name, outcome) = (action.name(), Outcome::of(&made));
            self.metrics.made(name, outcome);
            match (made, outcome) {
                (Ok(()), _) => tracing::info!(action = name, reason, "Certificates"),
                // What it did is about to be seen.
                (_, Outcome::Conflict) => tracing::debug!(action = name, "Another replica was first"),
                (Err(error), _) => {
                    tracing::warn!(action = name, reason, %error, "Certificates: not done, trying again");
                }
            }
        }
        self.show_readiness(now);
        tries
    }

    /// Another replica may have what this one has not.
    fn show_readiness(&mut self, now: Moment) {
        let serves = self.leaf.as_ref().is_some_and(|leaf| leaf.life.contains(now.wall));
        self.gate = match self.gate.take() {
            _ if serves => None,
            None => Some(self.readiness.gate(GATE)),
            shut => shut,
        };
    }

    /// Whether it signs a leaf by the CA of the one that is served.
    fn renews(&self, action: &Action) -> bool {
        let signs = self.remembered.as_ref().map(|authority| authority.active.certificate());
        *action == Action::Serve && self.leaf.as_ref().map(|leaf| &leaf.issuer) == signs
    }

    async fn look_again(&mut self) -> Result<(), Failure> {
        let Place { secret, configuration, .. } = &self.place;
        let both = try_join(self.secrets.get_opt(secret), self.configurations.get_opt(configuration));
        let (secret, configuration) = timeout(ANSWER, both).await.map_err(|_| Failure::NoAnswer)??;
        self.secret = Some(Content::of(secret));
        self.configuration = Some(Configuration::of(configuration));
        Ok(())
    }

    fn moves(&mut self, now: Moment) -> Vec<Move> {
        let (Some(secret), Some(configuration)) = (&self.secret, &self.configuration) else {
            return Vec::new();
        };
        let published = self.sightings.look(&configuration.trusted(), now.running);
        let stored = match secret {
            Content::Absent => Stored::Absent,
            Content::Foreign => Stored::Foreign,
            Content::Broken { why, .. } => {
                let since = *self.broken_since.get_or_insert(now.running);
                Stored::Broken { why, seen: now.running.saturating_sub(since) }
            }
            Content::Held { authority, .. } => {
                self.remembered = Some((**authority).clone());
                Stored::Held(authority)
            }
        };
        if !matches!(stored, Stored::Broken { .. }) {
            self.broken_since = None;
        }
        let scene = Scene {
            now: now.wall,
            stored,
            remembered: self.remembered.as_ref(),
            published: &published,
            uneven: configuration.is_uneven(),
            serving: self.leaf.as_ref().map(|leaf| Serving { issuer: &leaf.issuer, life: leaf.life }),
            asked: secret.asks_for_another(),
        };
        let mut moves = rotation::moves(&scene, self.times);
        if self.readiness.state() == Ready::Draining {
            // Those that stay may have been told of other lives.
            moves.retain(|found| found.action == Action::Serve);
        }
        moves
    }

    fn blind(&self, kind: &str, name: &str, error: &watcher::Error) {
        tracing::warn!(
            %error,
            "Cannot follow {kind} {name}, trying again; this service account needs `list` and `watch` on it"
        );
    }
}

fn followed<K>(api: Api<K>, name: &str) -> BoxStream<'static, watcher::Result<Option<K>>>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
    K::DynamicType: Default,
{
    watcher::watch_object(api, name).backoff(pauses()).boxed()
}
