//! What a replica does next about the certificates, and why. Pure: the time, the Secret, the published bundle and the
//! leaf now served go in, moves come out.
//!
//! Replicas are equal. Each looks at the same objects and would make the same move; the Secret's resource version
//! lets one of them through. A successor is written first, published second, and signs third, once every API server
//! had time to read the bundle: at no moment is a leaf served that an API server does not trust yet.

mod sightings;
#[cfg(test)]
mod tests;
mod times;

pub use sightings::{Published, Sightings};
pub use times::Times;

use crate::{
    authority::Authority,
    ca::{Ca, CaCertificate, Life},
};
use std::time::{Duration, SystemTime};

/// All a decision depends on.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The wall clock: a process may have been frozen for a month.
    pub now: SystemTime,
    /// What the Secret holds.
    pub stored: Stored<'a>,
    /// What it last held that could be used.
    pub remembered: Option<&'a Authority>,
    /// What the webhook configuration's bundles all hold.
    pub published: &'a [Published],
    /// These bundles differ.
    pub uneven: bool,
    /// The leaf now served.
    pub serving: Option<Serving<'a>>,
    /// Somebody asks for another CA although this one is young.
    pub asked: bool,
}

/// What the Secret holds.
#[derive(Clone, Debug)]
pub enum Stored<'a> {
    /// There is none.
    Absent,
    /// It is somebody else's.
    Foreign,
    /// It is ours, but of no use.
    Broken {
        /// Why.
        why: &'a str,
        /// For how long it has been seen so.
        seen: Duration,
    },
    /// It is in order.
    Held(&'a Authority),
}

/// The leaf now served.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// Who signed it.
    pub issuer: &'a CaCertificate,
    /// How long it is valid.
    pub life: Life,
}

/// What to do next, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make a CA and write the Secret, leaving those trusted until now in the bundle.
    Create(Vec<CaCertificate>),
    /// Write the Secret as it was.
    Restore,
    /// Write into the Secret that this one is in use, too.
    Amend(CaCertificate),
    /// Write a successor into the Secret.
    Stage,
    /// Let the successor sign.
    Promote,
    /// Write down that every API server knows the CA.
    Settle,
    /// Put this into every `caBundle`.
    Publish(Vec<CaCertificate>),
    /// Sign a leaf and serve it.
    Serve,
    /// Nothing can be done here; somebody has to.
    Refuse,
}

/// What `scene` calls for, in that order; nothing as long as all is well. One that fails does not keep the others from
/// being tried.
pub fn moves(scene: &Scene<'_>, times: Times) -> Vec<Move> {
    match scene.stored {
        Stored::Held(authority) => {
            // First of all, for what is published next would shut out those who are served by it.
            if let Some(amendment) = amendment(scene, authority) {
                return vec![amendment];
            }
            let moves = [
                successor(scene, authority),
                bundle(scene, authority),
                promotion(scene, authority, times),
                settling(scene, authority, times),
                leaf(scene, authority, times),
            ];
            moves.into_iter().flatten().collect()
        }
        // Leaves are signed all the same by whoever remembers.
        _ => {
            let leaf = scene.remembered.and_then(|authority| leaf(scene, authority, times));
            repair(scene, times).into_iter().chain(leaf).collect()
        }
    }
}

/// The Secret first.
fn repair(scene: &Scene<'_>, times: Times) -> Option<Move> {
    let create = |reason: String| {
        let trusted = scene.published.iter().map(|published| published.ca.clone());
        let trusted = trusted.filter(|ca| ca.life().contains(scene.now));
        Move::new(Action::Create(trusted.collect()), reason)
    };
    Some(match (&scene.stored, scene.remembered) {
        (Stored::Held(_), _) => return None,
        (Stored::Foreign, _) => {
            Move::new(Action::Refuse, "the Secret is not Curfew's: delete it, or name another")
        }
        (Stored::Absent, Some(_)) => Move::new(Action::Restore, "the Secret was deleted"),
        (Stored::Absent, None) => create("there is no Secret yet".to_owned()),
        (Stored::Broken { why, .. }, Some(_)) => {
            Move::new(Action::Restore, format!("the Secret was broken: {why}"))
        }
        (Stored::Broken { why, seen }, None) if *seen >= times.patience => {
            create(format!("the Secret is broken, and nobody remembers what it held: {why}"))
        }
        (Stored::Broken { .. }, None) => return None,
    })
}

/// A Secret from a backup, or of the days before cert-manager's, does not know of the CA that has signed since.
fn amendment(scene: &Scene<'_>, authority: &Authority) -> Option<Move> {
    let known = authority.bundle();
    let is_forgotten = |ca: &&CaCertificate| ca.life().contains(scene.now) && !known.contains(ca);
    let mut trusted = scene.published.iter().map(|published| &published.ca).filter(is_forgotten);
    let forgotten = match scene.serving {
        Some(serving) => trusted.find(|ca| *ca == serving.issuer),
        // Whoever starts does not know by which of them others serve. Where the one that signs is trusted already, those
        // others keep the Secret themselves.
        None if scene.published(authority.active.certificate()).is_none() => trusted.next(),
        None => None,
    }?;
    let action = Action::Amend(forgotten.clone());
    Some(Move::new(action, "the Secret was replaced by one that lacks the CA in use"))
}

fn successor(scene: &Scene<'_>, authority: &Authority) -> Option<Move> {
    let due = |ca: &Ca| ca.certificate().life().is_due(scene.now);
    if authority.next.as_ref().is_some_and(|next| !due(next)) {
        return None;
    }
    let reason = match due(&authority.active) {
        true => "two thirds of the CA's life are over",
        false if scene.asked => "another CA was asked for",
        false => return None,
    };
    Some(Move::new(Action::Stage, reason))
}

fn bundle(scene: &Scene<'_>, authority: &Authority) -> Option<Move> {
    let mut wanted = authority.bundle();
    let missing = wanted.iter().any(|ca| scene.published(ca).is_none());
    // Whoever does not serve by the CA yet does not know who needs the others.
    if !scene.serving.is_some_and(|serving| serving.issuer == authority.active.certificate()) {
        let others = scene.published.iter().map(|published| &published.ca);
        let others: Vec<_> = others.filter(|ca| !wanted.contains(ca)).cloned().collect();
        wanted.extend(others);
    }
    let left_over = scene.published.iter().any(|published| !wanted.contains(&published.ca));
    let reason = match (missing, left_over || scene.uneven) {
        (true, _) => "a webhook's bundle lacks a CA of the Secret",
        (false, true) => "a webhook's bundle holds a CA that is none of the Secret's",
        (false, false) => return None,
    };
    Some(Move::new(Action::Publish(wanted), reason))
}

fn promotion(scene: &Scene<'_>, authority: &Authority, times: Times) -> Option<Move> {
    let next = authority.next.as_ref()?.certificate();
    let published = scene.published(next)?;
    let reason = match published.seen >= times.hold {
        true => "every API server knows the CA's successor",
        // Nothing is lost by a successor that not all of them know yet: what this one has signed they refuse, all of them.
        false if authority.active.certificate().life().to <= scene.now => {
            "the CA has ended before its successor"
        }
        false => return None,
    };
    Some(Move::new(Action::Promote, reason))
}

fn settling(scene: &Scene<'_>, authority: &Authority, times: Times) -> Option<Move> {
    (!authority.settled && scene.is_known(authority.active.certificate(), times))
        .then(|| Move::new(Action::Settle, "every API server knows the CA"))
}

fn leaf(scene: &Scene<'_>, authority: &Authority, times: Times) -> Option<Move> {
    let active = authority.active.certificate();
    // Nobody would accept what one signs that has ended.
    if !active.life().contains(scene.now) {
        return None;
    }
    let reason = match scene.serving {
        None => "nothing is served yet",
        Some(Serving { issuer, .. }) if issuer != active => "another CA signs now",
        Some(Serving { life, .. }) => {
            // One that ends with its CA cannot be outlived. Of the same CA, a new one is trusted as the old one is.
            let is_due = life.is_due(scene.now) && (life.to < active.life().to || !life.contains(scene.now));
            return is_due.then(|| Move::new(Action::Serve, "two thirds of the leaf's life are over"));
        }
    };
    let published = scene.published(active)?;
    // What is served now is refused already.
    let is_lost = scene
        .serving
        .is_some_and(|now| scene.published(now.issuer).is_none() || !now.life.contains(scene.now));
    // What comes into the bundle before one's eyes may be news to an API server whatever the Secret says: it may be an
    // old one, brought back. Where there was no CA before, in the Secret or beside it, nobody's trust is lost.
    let known = authority.bundle();
    let is_told = scene.published.iter().all(|published| known.contains(&published.ca));
    let is_old = is_told && (published.found || authority.previous.is_empty());
    let is_known = published.seen >= times.hold || authority.settled && is_old || is_lost;
    is_known.then(|| Move::new(Action::Serve, reason))
}

// === impl Scene ===

impl Scene<'_> {
    /// Every API server has had time to read a bundle with `ca` in it.
    fn is_known(&self, ca: &CaCertificate, times: Times) -> bool {
        self.published(ca).is_some_and(|published| published.seen >= times.hold)
    }

    /// What has been seen of `ca` in what is published.
    fn published(&self, ca: &CaCertificate) -> Option<&Published> {
        self.published.iter().find(|published| published.ca == *ca)
    }
}

// === impl Action ===

impl Action {
    /// All names.
    pub const NAMES: [&str; 9] =
        ["create", "restore", "amend", "stage", "promote", "settle", "publish", "serve", "refuse"];

    /// In a word, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Restore => "restore",
            Self::Amend(_) => "amend",
            Self::Stage => "stage",
            Self::Promote => "promote",
            Self::Settle => "settle",
            Self::Publish(_) => "publish",
            Self::Serve => "serve",
            Self::Refuse => "refuse",
        }
    }
}

// === impl Move ===

impl Move {
    fn new(action: Action, reason: impl Into<String>) -> Self {
        Self { action, reason: reason.into() }
    }
}
