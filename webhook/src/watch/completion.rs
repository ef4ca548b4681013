//! The watch over pods whose work may be done: it tells their reapers, and says who is stuck.
//!
//! The kubelet alone knows how a container ended. Every replica follows the pods that run, applies the kill rule to
//! what their status says ([`judge`]), keeps what follows from it ([`ledger`]) and asks the API server for it
//! ([`request`]). Nothing is written down anywhere: who starts anew judges every pod anew, and doing it twice is
//! harmless.

mod judge;
mod ledger;
mod metrics;
mod pod;
mod pods;
mod replicas;
mod request;
mod share;
mod stuck;
mod task;
mod told;
mod wire;

use std::{
    collections::BTreeSet,
    panic,
    time::{Duration, SystemTime},
};

use kube::{
    Client,
    runtime::{watcher, watcher::Event},
};
use prometheus_client::registry::Registry;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use judge::Judgement;
use ledger::{Ledger, Now};
use metrics::Metrics;
use pod::Pod;
use pods::Pods;
pub use replicas::Own;
use replicas::Ready;
use request::Answer;
use task::{About, Mark, Settled, Word};

use super::{Watched, is_forbidden};
use crate::serve::Gate;

/// The watch over pods. Nothing happens until it runs.
#[must_use = "nobody is told until the watch runs"]
pub struct Completion {
    client: Client,
    pods: Pods,
    /// This replica's name, and those that are ready.
    replicas: Option<(String, Ready)>,
    /// Who keeps the latter true.
    follower: JoinSet<()>,
    ledger: Ledger,
    metrics: Metrics,
    marks: JoinSet<(Mark, Answer)>,
    words: JoinSet<(Word, Answer)>,
    /// Why pods are left whose owners end the sidecars: nothing to worry about.
    by_design: BTreeSet<String>,
    /// The API server is left alone until then.
    paused: Option<Instant>,
    synced: bool,
    /// Whether others may count on this watch.
    watched: Watched,
    /// Pods were listed once. A refusal later will pass: an API server that has just started may know no rights yet.
    listed: bool,
    complained: Option<Instant>,
    /// It was said that events are given up.
    gave_up: bool,
}

/// Pods marked at once: some hundred a second, of the share of the API server that one client has.
const MARKS: usize = 16;
/// Events are many where many pods are left, and never urgent.
const WORDS: usize = 1;
/// Between two complaints in the log.
const COMPLAINT: Duration = Duration::from_secs(10);

// === impl Completion ===

impl Completion {
    /// A watch with this client. `own` is this replica's pod; who does not know it acts as the only one. `by_design` is what
    /// the catalogue's workloads say whose owners end the sidecars themselves. `watched` goes off where pods may not be listed
    /// from the start.
    pub fn new(
        client: Client,
        own: Option<Own>,
        by_design: impl IntoIterator<Item = String>,
        watched: Watched,
        registry: &mut Registry,
    ) -> Self {
        let mut follower = JoinSet::new();
        let replicas = own.map(|own| {
            let (ready, feed) = replicas::follow(client.clone(), &own);
            follower.spawn(feed);
            (own.name, ready)
        });
        Self {
            pods: Pods::new(client.clone()),
            replicas,
            follower,
            client,
            ledger: Ledger::default(),
            metrics: Metrics::new(registry),
            marks: JoinSet::new(),
            words: JoinSet::new(),
            by_design: by_design.into_iter().collect(),
            paused: None,
            synced: false,
            watched,
            listed: false,
            complained: None,
            gave_up: false,
        }
    }

    /// Watches for as long as it is polled; `gate` opens with the first whole list. Whatever breaks on the way to the API
    /// server, it goes on; a mistake of its own that ends one of its tasks ends it as well.
    pub async fn run(mut self, gate: Option<Gate>) {
        let mut gate = gate;
        loop {
            let wakes_at = self.wakes_at();
            tokio::select! {
                event = self.pods.next() => {
                    self.heed(event);
                    if self.synced {
                        drop(gate.take());
                    }
                }
                Some(ended) = self.marks.join_next() => {
                    let (mark, answer) = unbroken(ended);
                    self.marked(&mark, &answer);
                }
                Some(ended) = self.words.join_next() => {
                    let (word, answer) = unbroken(ended);
                    self.said(&word, &answer);
                }
                Some(ended) = self.follower.join_next() => return unbroken(ended),
                () = at(wakes_at) => {}
            }
            self.begin_what_is_due();
            self.metrics.look(&self.ledger);
        }
    }

    fn heed(&mut self, event: watcher::Result<Event<Pod<Judgement>>>) {
        match event {
            Ok(Event::Init) => self.ledger.list_begins(),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let rank = self.rank(pod.uid());
                self.ledger.note(&pod, Now { here: Instant::now(), wall: SystemTime::now() }, rank);
            }
            Ok(Event::InitDone) => {
                self.ledger.list_ends();
                if !self.synced {
                    tracing::info!(pods = self.ledger.len(), "Watching pods");
                }
                self.is_synced(true);
                self.listed = true;
                self.watched.allowed();
            }
            Ok(Event::Delete(pod)) => self.ledger.forget(pod.uid()),
            Err(error) => {
                self.metrics.broke();
                // A stream that broke off is only resumed; of anything else it is not known how long it will last.
                if !matches!(error, watcher::Error::WatchFailed(_)) {
                    self.is_synced(false);
                }
                tracing::warn!(
                    %error,
                    "Cannot follow pods, trying again; this service account needs `list` and `watch` on them"
                );
                if is_forbidden(&error) && !self.listed {
                    self.watched.refused();
                }
            }
        }
    }

    fn is_synced(&mut self, is: bool) {
        self.synced = is;
        self.metrics.synced(is);
    }

    fn rank(&self, uid: &str) -> u32 {
        self.replicas.as_ref().map_or(0, |(own, ready)| share::rank(uid, own, &ready.borrow()))
    }

    /// When there is something to begin, with hands free for it.
    fn wakes_at(&self) -> Option<Instant> {
        let marks = self.ledger.marks_at().filter(|_| self.marks.len() < MARKS);
        let words = self.ledger.words_at().filter(|_| self.words.len() < WORDS);
        let first = marks.into_iter().chain(words).min()?;
        Some(self.paused.map_or(first, |paused| first.max(paused)))
    }

    fn begin_what_is_due(&mut self) {
        let now = Instant::now();
        if self.paused.is_some_and(|until| now < until) {
            return;
        }
        self.paused = None;
        while self.marks.len() < MARKS
            && let Some(mark) = self.ledger.next_mark(now)
        {
            let client = self.client.clone();
            self.marks.spawn(async move {
                let answer = request::mark(client, &mark).await;
                (mark, answer)
            });
        }
        while self.words.len() < WORDS
            && let Some(word) = self.ledger.next_word(now)
        {
            let client = self.client.clone();
            let is_fine = word.about == About::Left && self.by_design.contains(&*word.text);
            let kind = if is_fine { "Normal" } else { "Warning" };
            self.words.spawn(async move {
                let answer = request::say(client, &word, kind).await;
                (word, answer)
            });
        }
    }

    fn marked(&mut self, mark: &Mark, answer: &Answer) {
        let task::Named { namespace, name, uid } = &mark.pod;
        match (answer.settled, &answer.error) {
            (Settled::Done, _) => {
                tracing::debug!(%namespace, %name, %uid, "Mains are done, the reaper is told")
            }
            (Settled::Gone, _) => {
                tracing::debug!(%namespace, %name, %uid, "Mains are done, and the pod is gone")
            }
            (Settled::Failed | Settled::Refused, error) if self.may_complain() => tracing::warn!(
                %namespace, %name, error = error.as_deref(),
                "Cannot tell a reaper that the mains are done, trying again; this service account needs `patch` on \
                 pods/status"
            ),
            (Settled::Failed | Settled::Refused, _) => {}
        }
        self.metrics.marked(mark, answer);
        self.ledger.marked(uid, answer.settled, Instant::now());
        self.pause(answer);
    }

    fn said(&mut self, word: &Word, answer: &Answer) {
        let task::Named { namespace, name, uid } = &word.pod;
        let (reason, text) = (word.about.reason(), &*word.text);
        match (answer.outcome, &answer.error) {
            ("created", _) => tracing::info!(%namespace, %name, reason, text, "Said of a pod"),
            (_, Some(error)) if self.may_complain() => tracing::warn!(
                %namespace, %name, reason, text, error,
                "Cannot leave an event at a pod, trying again; this service account needs `create` on events"
            ),
            _ => {}
        }
        let is_given_up = self.ledger.said(uid, word.about, answer.settled, Instant::now());
        self.metrics.said(word, answer, is_given_up);
        if is_given_up && !std::mem::replace(&mut self.gave_up, true) {
            tracing::warn!(
                %namespace, %name, reason, error = answer.error.as_deref(),
                "Gave up leaving an event at a pod, as it is refused again and again; of others that are, only \
                 curfew_events tells"
            );
        }
        self.pause(answer);
    }

    /// One complaint for many pods: what hinders one hinders most.
    fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        let may = self.complained.is_none_or(|at| now - at >= COMPLAINT);
        if may {
            self.complained = Some(now);
        }
        may
    }

    fn pause(&mut self, answer: &Answer) {
        if let Some(pause) = answer.pause {
            let until = Instant::now() + pause;
            self.paused = Some(self.paused.map_or(until, |paused| paused.max(until)));
        }
    }
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completion").field("pods", &self.ledger.len()).finish_non_exhaustive()
    }
}

/// What a task came to. The panic of one that broke down goes on here: its pod would stay under way for ever, and nobody
/// would notice.
fn unbroken<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
