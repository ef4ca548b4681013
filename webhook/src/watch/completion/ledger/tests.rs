use proptest::{collection::vec, prelude::*, sample};
use serde_json::Value;

use super::*;
use crate::watch::completion::tests::{at_work, pod};

const PODS: usize = 4;

/// What may happen to pods, to what is told of them, and to this replica.
#[derive(Clone, Debug)]
enum Event {
    /// The main of this pod ends.
    Ends(usize),
    /// The pod is deleted, and another takes its name.
    Replaced(usize),
    /// The watch tells of this pod as it is.
    Seen(usize),
    /// The watch tells of this pod as it was when it was last looked at.
    SeenLate(usize),
    /// All pods are listed.
    Listed,
    /// The replica starts anew, knowing nothing.
    Restarted,
    /// Time passes, and what is due is asked for, with this outcome.
    Passed(u64, Settled),
}

/// The cluster, as far as it matters.
struct World {
    pods: Vec<Value>,
    late: Vec<Value>,
    ledger: Ledger,
    now: Instant,
    generation: usize,
}

impl World {
    fn new() -> Self {
        let pods: Vec<_> = (0..PODS).map(|number| young(number, 0)).collect();
        Self { late: pods.clone(), pods, ledger: Ledger::default(), now: Instant::now(), generation: 0 }
    }

    fn note(&mut self, pod: &Value) {
        let pod: Pod<Judgement> = serde_json::from_str(&pod.to_string()).expect("a pod");
        self.ledger.note(&pod, Now { here: self.now, wall: SystemTime::now() }, 0);
    }

    fn list(&mut self) {
        self.ledger.list_begins();
        for pod in self.pods.clone() {
            self.note(&pod);
        }
        self.ledger.list_ends();
    }

    /// Carries out all that is due; a pod is never told before its main has ended, nor another in its place.
    fn act(&mut self, outcome: Settled) {
        while let Some(mark) = self.ledger.next_mark(self.now) {
            let found = self.pods.iter_mut().find(|pod| pod["metadata"]["uid"] == *mark.pod.uid);
            let settled = match found {
                None => Settled::Gone,
                Some(pod) => {
                    assert!(ended(pod), "{mark:?} of {pod}");
                    if outcome == Settled::Done {
                        pod["metadata"]["annotations"]["curfew.dev/done"] = (*mark.pod.uid).into();
                    }
                    outcome
                }
            };
            self.ledger.marked(&mark.pod.uid, settled, self.now);
        }
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Ends(number) => {
                let state = &mut self.pods[number]["status"]["containerStatuses"][0]["state"];
                *state = serde_json::json!({"terminated": {"exitCode": 0}});
            }
            Event::Replaced(number) => {
                self.generation += 1;
                self.pods[number] = young(number, self.generation);
            }
            Event::Seen(number) => {
                self.late[number] = self.pods[number].clone();
                self.note(&self.pods[number].clone());
            }
            Event::SeenLate(number) => self.note(&self.late[number].clone()),
            Event::Listed => self.list(),
            Event::Restarted => self.ledger = Ledger::default(),
            Event::Passed(seconds, outcome) => {
                self.now += Duration::from_secs(seconds);
                self.act(outcome);
            }
        }
    }
}

/// One whose main has yet to end.
fn young(number: usize, generation: usize) -> Value {
    let mut pod = pod(&format!("pod-{number}"), "n");
    pod["metadata"]["uid"] = format!("{number}-{generation}").into();
    pod["status"]["containerStatuses"][0]["state"] = serde_json::json!({"running": {}});
    pod
}

fn ended(pod: &Value) -> bool {
    !pod["status"]["containerStatuses"][0]["state"]["terminated"].is_null()
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = sample::select(vec![Settled::Done, Settled::Gone, Settled::Failed, Settled::Refused]);
    prop_oneof![
        (0..PODS).prop_map(Event::Ends),
        (0..PODS).prop_map(Event::Replaced),
        (0..PODS).prop_map(Event::Seen),
        (0..PODS).prop_map(Event::SeenLate),
        Just(Event::Listed),
        Just(Event::Restarted),
        (0..90_u64, outcome).prop_map(|(seconds, outcome)| Event::Passed(seconds, outcome)),
    ]
}

proptest! {
    /// Whatever was lost, late, refused or forgotten before: once the pods are listed and the API server takes what it
    /// is asked for, every pod whose main has ended was told, and no other.
    #[test]
    fn nothing_is_lost_whatever_came_before(events in vec(event(), 0..60)) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
        }
        // Whatever was asked for last is on its way for a minute at most.
        for _ in 0..2 {
            world.list();
            world.happens(&Event::Passed(61, Settled::Done));
        }
        for pod in &world.pods {
            let told = &pod["metadata"]["annotations"]["curfew.dev/done"];
            prop_assert_eq!(*told == pod["metadata"]["uid"], ended(pod), "{}", pod);
        }
        prop_assert_eq!(world.ledger.len(), PODS);
        // And once that is seen there is nothing left to do.
        world.list();
        prop_assert_eq!(world.ledger.marks_at(), None);
    }
}

fn stuck(name: &str) -> Pod<Judgement> {
    serde_json::from_str(&pod(name, "n").to_string()).expect("a pod")
}

#[test]
fn a_pod_counts_as_stuck_from_when_it_is_said_until_it_is_gone() {
    let mut ledger = Ledger::default();
    let now = Now { here: Instant::now(), wall: SystemTime::now() };
    ledger.note(&stuck("p"), now, 0);
    let label = ("reaper", "not_told");
    let at = ledger.words_at().expect("something to say");
    // It ended long ago, and was seen only now.
    assert_eq!(at - now.here, Duration::from_secs(30));
    assert_eq!(ledger.next_word(now.here), None);
    let word = ledger.next_word(at).expect("due");
    assert_eq!(ledger.stuck(), &BTreeMap::from([(label, 1)]));
    ledger.said(&word.pod.uid, word.about, Settled::Done, at);
    // Once is enough, and it still counts: while what holds it is between two crashes, and when its main was back for a while.
    let mut between = pod("p", "n");
    for status in between["status"]["containerStatuses"].as_array_mut().expect("a list") {
        status["state"] = serde_json::json!({"terminated": {"exitCode": 1}});
    }
    for (seen, count) in [
        (pod("p", "n"), 1),
        (between.clone(), 1),
        (pod("p", "n"), 1),
        (at_work("p"), 0),
        (between, 0),
        (pod("p", "n"), 1),
    ] {
        ledger.note(&serde_json::from_str(&seen.to_string()).expect("a pod"), Now { here: at, ..now }, 0);
        assert_eq!((ledger.words_at(), ledger.stuck()[&label]), (None, count), "{seen}");
    }
    ledger.forget(&word.pod.uid);
    assert_eq!((ledger.len(), ledger.stuck()[&label]), (0, 0));
}

#[test]
fn of_a_status_that_is_all_lies_a_line_is_held() {
    let mut lies = pod("p", "n");
    let status = serde_json::json!({"strategy": "leave", "containers": {"é".repeat(100_000): "main"}});
    lies["metadata"]["annotations"]["curfew.dev/status"] = status.to_string().into();
    let lies: Pod<Judgement> = serde_json::from_str(&lies.to_string()).expect("a pod");
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.note(&lies, Now { here: now, wall: SystemTime::now() }, 0);
    let text = ledger.next_word(now).expect("something to say").text;
    assert!(text.contains("names the container") && text.len() <= LONGEST, "{} bytes", text.len());
}

#[test]
fn failures_are_tried_again_ever_more_seldom_but_soon_after_an_outage() {
    for (settled, expected) in [
        (Settled::Failed, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]),
        (Settled::Refused, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]),
    ] {
        let mut ledger = Ledger::default();
        let mut now = Instant::now();
        ledger.note(&stuck("p"), Now { here: now, wall: SystemTime::now() }, 0);
        let mut pauses = Vec::new();
        for _ in 0..expected.len() {
            let mark = ledger.next_mark(now).expect("due");
            ledger.marked(&mark.pod.uid, settled, now);
            let at = ledger.marks_at().expect("again");
            pauses.push((at - now).as_secs_f32());
            now = at;
        }
        assert_eq!(pauses, expected, "{settled:?}");
    }
}

#[test]
fn the_clock_of_a_node_may_be_wrong() {
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    for (at, patience_left) in [
        (Some(now), 60),
        (Some(now + hour), 60),
        (Some(now - hour), 30),
        (Some(now - Duration::from_secs(20)), 40),
        (None, 60),
    ] {
        assert_eq!(patience(at, now).as_secs(), patience_left);
    }
}
