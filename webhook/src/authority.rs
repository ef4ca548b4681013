//! A CA of Curfew's own: kept in one Secret, trusted by the webhook configuration, renewed without a restart.
//!
//! [`curfew_certs::rotation`] decides; this looks at the two objects and carries the decisions out. Every replica
//! does the same, and the Secret's resource version lets one of them through.

mod configuration;
mod metrics;
mod place;
mod secret;
#[cfg(test)]
mod tests;

pub use place::Place;

use crate::serve::Gate;
use configuration::Configuration;
use curfew_certs::{
    Authority, CaCertificate, IssueError, Leaf, Resolver, SubjectName,
    rotation::{self, Action, Move, Scene, Serving, Sightings, Stored, Times},
};
use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use metrics::{Metrics, Outcome};
use prometheus_client::registry::Registry;
use secret::Content;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

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
}

/// Why a move could not be made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("{0}")]
    Issue(#[from] IssueError),
    #[error("no answer from the API server within {} s", ANSWER.as_secs())]
    NoAnswer,
    #[error("{0}")]
    Refused(String),
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
/// A rest after each attempt. Whoever else writes to the same objects, with another opinion, is not raced.
const REST: Duration = Duration::from_millis(250);

// === impl Keeper ===

impl Keeper {
    /// A keeper that puts what it serves into `resolver`.
    ///
    /// # Errors
    /// As [`Place::names`].
    pub fn new(
        client: Client,
        place: Place,
        times: Times,
        resolver: Resolver,
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
        })
    }

    /// Keeps it for as long as this is polled; `gate` opens when something is served.
    pub async fn run(mut self, gate: Gate) {
        let mut gate = Some(gate);
        let mut secrets = followed(self.secrets.clone(), &self.place.secret);
        let mut configurations = followed(self.configurations.clone(), &self.place.configuration);
        let start = Instant::now();
        let mut clock = interval(self.times.look());
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
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
                _ = clock.tick() => {}
            }
            let tried = self.keep(Moment { wall: SystemTime::now(), running: start.elapsed() }).await;
            if self.leaf.is_some()
                && let Some(gate) = gate.take()
            {
                gate.open();
            }
            if tried {
                sleep(REST).await;
            }
        }
    }

    /// Looks at what was last seen and does what follows; tells whether anything did.
    async fn keep(&mut self, now: Moment) -> bool {
        let moves = self.moves(now);
        let tries = !moves.is_empty();
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
        tries
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
        rotation::moves(&scene, self.times)
    }

    async fn make(&mut self, action: &Action, now: SystemTime) -> Result<(), Failure> {
        let life = self.times.ca_life;
        let held = || self.remembered.as_ref().ok_or_else(|| Failure::Refused("there is no CA".to_owned()));
        match action {
            Action::Create(trusted) => {
                self.write(&Authority::create(trusted.clone(), now, life)?, false).await
            }
            Action::Restore => self.write(held()?, false).await,
            Action::Amend(ca) => self.write(&held()?.trusting(ca), true).await,
            Action::Stage => self.write(&held()?.staged(now, life)?, false).await,
            Action::Promote => self.write(&held()?.promoted(now), true).await,
            Action::Settle => self.write(&held()?.settled(), true).await,
            Action::Publish(bundle) => self.publish(bundle).await,
            Action::Serve => {
                let leaf = held()?.active.sign(&self.names, now, self.times.leaf_life)?;
                self.resolver.replace(leaf.key.clone());
                self.leaf = Some(leaf);
                Ok(())
            }
            Action::Refuse => {
                let Place { namespace, secret, .. } = &self.place;
                Err(Failure::Refused(format!(
                    "Secret {namespace}/{secret} lacks the label {}, so it is not Curfew's: delete it, or name another \
                     by --tls-secret",
                    secret::LABEL
                )))
            }
        }
    }

    /// `still_asked`: whether a wish for another CA that came meanwhile stays.
    async fn write(&self, authority: &Authority, still_asked: bool) -> Result<(), Failure> {
        let Some(seen) = &self.secret else { return Ok(()) };
        let asked = still_asked && seen.asks_for_another();
        let secret = secret::holding(authority, &self.place.secret, seen.metadata(), asked);
        match seen.metadata() {
            None => self.secrets.create(&Default::default(), &secret).await?,
            Some(_) => self.secrets.replace(&self.place.secret, &Default::default(), &secret).await?,
        };
        Ok(())
    }

    async fn publish(&self, bundle: &[CaCertificate]) -> Result<(), Failure> {
        let patch = self.configuration.as_ref().and_then(|seen| seen.patch(bundle));
        let name = &self.place.configuration;
        let patch = patch.ok_or_else(|| {
            Failure::Refused(format!("there is no MutatingWebhookConfiguration {name} with a webhook yet"))
        })?;
        // So that who looks at its fields' managers sees whose the bundles are.
        let parameters = PatchParams { field_manager: Some("curfew".to_owned()), ..PatchParams::default() };
        self.configurations.patch_metadata(name, &parameters, &Patch::Json::<()>(patch)).await?;
        Ok(())
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
    watcher::watch_object(api, name).default_backoff().boxed()
}
