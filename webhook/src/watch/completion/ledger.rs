//! What is to be done about which pod, and when. Pure: time comes in, nothing goes out but what is due.
//!
//! Of most pods no more is held than that they exist. What is to be done follows from each judgement anew, so a lost
//! event costs nothing once the pod is seen again, whatever came before.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    judge::{Done, Judgement},
    pod::Pod,
    request::cut,
    stuck::{Stuck, patience},
    task::{About, Agenda, Label, Mark, Named, Settled, Task, Word, due, plan},
};

/// Pods, and what is still to be done about them.
#[derive(Default)]
pub(super) struct Ledger {
    pods: HashMap<Arc<str>, Entry>,
    marks: Agenda,
    words: Agenda,
    /// The number of the list that is being read, or was last.
    list: u32,
    stuck: BTreeMap<Label, i64>,
    /// What was last found to say: of thousands of pods it is mostly the same.
    text: Arc<str>,
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) here: Instant,
    pub(super) wall: SystemTime,
}

#[derive(Default)]
struct Entry {
    /// The last list it was in, or the one it came after.
    list: u32,
    /// A bit for everything that was said.
    said: u8,
    mark: Option<Box<Task<Mark>>>,
    word: Option<Box<Task<Word>>>,
    /// From when on it counts as stuck, if it is held still.
    stuck_at: Option<Instant>,
    counted: Option<Label>,
}

/// The time each replica gives the one before it.
pub(super) const TURN: Duration = Duration::from_secs(2);
/// After this the watch must have shown what was patched; otherwise it is patched again, to no effect if it was there.
const CONFIRMED: Duration = Duration::from_secs(10);
/// Of what is said, in bytes: a status that lies may quote a quarter of a megabyte, for every pod of a namespace whose
/// quota takes no events.
const LONGEST: usize = 1024;
/// What is said of a pod that was left is said as it starts: of an older one it was said already, and forgotten by the
/// API server, which keeps events for an hour.
const YOUNG: Duration = Duration::from_secs(60 * 60);

// === impl Ledger ===

impl Ledger {
    /// A new list begins: pods that are not in it are gone.
    pub(super) fn list_begins(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// It was read to its end.
    pub(super) fn list_ends(&mut self) {
        let gone: Vec<_> = self
            .pods
            .iter()
            .filter(|(_, entry)| entry.list != self.list)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in gone {
            self.forget(&uid);
        }
    }

    /// Takes note of a pod as it is now; `rank` replicas act before this one.
    pub(super) fn note(&mut self, pod: &Pod<Judgement>, now: Now, rank: u32) {
        if pod.uid().is_empty() {
            return;
        }
        let uid =
            self.pods.get_key_value(pod.uid()).map_or_else(|| Arc::from(pod.uid()), |(uid, _)| uid.clone());
        let named = || Named { namespace: pod.namespace().into(), name: pod.name().into(), uid: uid.clone() };
        let mut word = |about, text: &str| {
            let text = cut(text, LONGEST);
            if *self.text != *text {
                self.text = text.into();
            }
            Word { pod: named(), about, text: self.text.clone() }
        };
        let turn = TURN.saturating_mul(rank);
        let entry = self.pods.entry(uid.clone()).or_default();
        entry.list = self.list;
        let (mut mark_due, mut word_due) = (None, None);
        if !matches!(pod.seen, Judgement::Done(_)) {
            entry.stuck_at = None;
        }
        match &pod.seen {
            Judgement::Nothing => {}
            Judgement::PassedOver(why) => word_due = Some((now.here + turn, word(About::PassedOver, why))),
            Judgement::Left { reason, started } => {
                let age = started.and_then(|started| now.wall.duration_since(started).ok());
                if age.is_none_or(|age| age < YOUNG) {
                    word_due = Some((now.here + turn, word(About::Left, reason)));
                }
            }
            Judgement::Done(Done { at, to_tell, stuck }) => {
                if *to_tell {
                    let mark = Mark { pod: named(), finished: *at, again: false };
                    mark_due = Some((now.here + turn, mark));
                }
                if let Some(stuck) = stuck {
                    let Stuck { strategy, cause, text } = &**stuck;
                    let at = *entry.stuck_at.get_or_insert_with(|| now.here + patience(*at, now.wall));
                    word_due = Some((at + turn, word(About::Stuck(strategy, *cause), text)));
                }
            }
        }
        let is_said = word_due.as_ref().is_some_and(|(_, word)| entry.said & word.about.bit() != 0);
        let counted = match &pod.seen {
            // Between two crashes of what holds it.
            Judgement::Done(Done { stuck: None, .. }) => entry.counted,
            _ if is_said || entry.counted.is_some() => {
                word_due.as_ref().and_then(|(_, word)| word.about.label())
            }
            _ => None,
        };
        entry.counts(counted, &mut self.stuck);
        let word_due = word_due.filter(|_| !is_said);
        let is_same = |old: &Word, new: &Word| old.about.bit() == new.about.bit();
        plan(&mut self.marks, &uid, &mut entry.mark, mark_due, |_, _| true, |_, _| ());
        plan(&mut self.words, &uid, &mut entry.word, word_due, is_same, |old, new| *old = new);
    }

    /// The pod is gone, or no longer runs.
    pub(super) fn forget(&mut self, uid: &str) {
        let Some((uid, mut entry)) = self.pods.remove_entry(uid) else { return };
        entry.counts(None, &mut self.stuck);
        if let Some(at) = entry.mark.and_then(|task| task.at) {
            self.marks.remove(&(at, uid.clone()));
        }
        if let Some(at) = entry.word.and_then(|task| task.at) {
            self.words.remove(&(at, uid));
        }
    }

    /// The next pod to mark, if one is due. It is under way from then on.
    pub(super) fn next_mark(&mut self, now: Instant) -> Option<Mark> {
        let uid = due(&mut self.marks, now)?;
        let task = self.pods.get_mut(&uid)?.mark.as_mut()?;
        task.at = None;
        Some(task.what.clone())
    }

    /// The next thing to say, if one is due; a pod counts as stuck from then on.
    pub(super) fn next_word(&mut self, now: Instant) -> Option<Word> {
        let uid = due(&mut self.words, now)?;
        let entry = self.pods.get_mut(&uid)?;
        let task = entry.word.as_mut()?;
        task.at = None;
        let word = task.what.clone();
        if let Some(label) = word.about.label() {
            entry.counts(Some(label), &mut self.stuck);
        }
        Some(word)
    }

    /// How marking it came out.
    pub(super) fn marked(&mut self, uid: &str, settled: Settled, now: Instant) {
        let Some((uid, entry)) = entry(&mut self.pods, uid) else { return };
        let Some(task) = entry.mark.as_mut().filter(|task| task.at.is_none()) else { return };
        let at = match settled {
            Settled::Gone => return entry.mark = None,
            Settled::Done => {
                (task.failures, task.refusals, task.what.again) = (0, 0, true);
                now + CONFIRMED
            }
            Settled::Failed | Settled::Refused => now + task.failed(settled),
        };
        task.at = Some(at);
        self.marks.insert((at, uid));
    }

    /// How saying it came out; whether it will not be said at all, as it was refused too often.
    pub(super) fn said(&mut self, uid: &str, about: About, settled: Settled, now: Instant) -> bool {
        let Some((uid, entry)) = entry(&mut self.pods, uid) else { return false };
        let is_said = matches!(settled, Settled::Done | Settled::Gone);
        if is_said {
            entry.said |= about.bit();
        }
        let Some(task) = entry.word.as_mut().filter(|task| task.at.is_none()) else { return false };
        let at = now + task.failed(settled);
        let is_given_up = !is_said && task.is_hopeless();
        if is_given_up {
            entry.said |= about.bit();
        }
        if is_said || is_given_up {
            entry.word = None;
        } else {
            task.at = Some(at);
            self.words.insert((at, uid));
        }
        is_given_up
    }

    /// When the next pod is to be marked.
    pub(super) fn marks_at(&self) -> Option<Instant> {
        self.marks.first().map(|(at, _)| *at)
    }

    /// When the next thing is to be said.
    pub(super) fn words_at(&self) -> Option<Instant> {
        self.words.first().map(|(at, _)| *at)
    }

    /// How many pods are known.
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    /// How many of them are stuck, by strategy and cause; zero where some were.
    pub(super) fn stuck(&self) -> &BTreeMap<Label, i64> {
        &self.stuck
    }
}

// === impl Entry ===

impl Entry {
    /// As what it counts among the stuck from now on.
    fn counts(&mut self, label: Option<Label>, stuck: &mut BTreeMap<Label, i64>) {
        for (label, by) in [(self.counted, -1), (label, 1)] {
            label.into_iter().for_each(|label| *stuck.entry(label).or_default() += by);
        }
        self.counted = label;
    }
}

fn entry<'a>(pods: &'a mut HashMap<Arc<str>, Entry>, uid: &str) -> Option<(Arc<str>, &'a mut Entry)> {
    let uid = pods.get_key_value(uid)?.0.clone();
    pods.get_mut(&uid).map(|entry| (uid, entry))
}

#[cfg(test)]
mod tests;
