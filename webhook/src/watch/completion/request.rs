//! The two things the watch asks of the API server: to mark a pod as done, and to keep an event about one.

use std::{error::Error as _, time::Duration};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    judge::Judgement,
    pod::Pod,
    share::hash,
    task::{About, Mark, Named, Settled, Word},
};
use crate::plan::DONE_ANNOTATION;

/// How a request came out, and what to do about the others.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) settled: Settled,
    /// As a metric tells it.
    pub(super) outcome: &'static str,
    /// Nothing more is to be asked for as long.
    pub(super) pause: Option<Duration>,
    /// What the API server said.
    pub(super) error: Option<String>,
}

/// Outcomes of marking a pod.
pub(super) const MARKS: [&str; 5] = ["patched", "gone", "conflict", "refused", "failed"];
/// Outcomes of an event.
pub(super) const EVENTS: [&str; 6] = ["created", "there", "gone", "refused", "failed", GIVEN_UP];
/// That of one that was refused too often.
pub(super) const GIVEN_UP: &str = "given_up";

/// Who says it, and who owns the annotation.
const MANAGER: &str = "curfew";
/// Longest name of an object.
const NAME: usize = 253;
/// What an API server that is away or has too much to do gets in any case.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it may take to answer. A connection that died without a word would hold up what waits behind for longer.
const ANSWER: Duration = Duration::from_secs(10);

/// Tells the pod of this UID, and no other of its name, that its mains are done.
pub(super) async fn mark(client: Client, mark: &Mark) -> Answer {
    let Named { namespace, name, uid } = &mark.pod;
    let api = Api::<Pod<Judgement>>::namespaced(client, namespace);
    let patch = json!({"metadata": {"uid": **uid, "annotations": {DONE_ANNOTATION: **uid}}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match timeout(ANSWER, api.patch_status(name, &params, &Patch::Merge(patch))).await {
        Ok(Ok(_)) => Answer::settled(Settled::Done, MARKS[0]),
        Ok(Err(Error::Api(status))) if status.code == 404 || is_another(&status) => {
            Answer::settled(Settled::Gone, MARKS[1])
        }
        Ok(Err(error)) => Answer::failed(&error),
        Err(_) => Answer::none(),
    }
}

/// Leaves an event of this type at the pod, under a name that every replica comes to: whoever is second finds it there.
pub(super) async fn say(client: Client, word: &Word, kind: &str) -> Answer {
    let api = Api::<Event>::namespaced(client, &word.pod.namespace);
    match timeout(ANSWER, api.create(&PostParams::default(), &event(word, kind))).await {
        Ok(Ok(_)) => Answer::settled(Settled::Done, EVENTS[0]),
        Ok(Err(Error::Api(status))) if status.is_already_exists() => {
            Answer::settled(Settled::Done, EVENTS[1])
        }
        // The namespace is gone, or on its way.
        Ok(Err(Error::Api(status))) if status.code == 404 || has_cause(&status, "NamespaceTerminating") => {
            Answer::settled(Settled::Gone, EVENTS[2])
        }
        Ok(Err(error)) => Answer::failed(&error),
        Err(_) => Answer::none(),
    }
}

fn event(word: &Word, kind: &str) -> Event {
    let Word { pod: Named { namespace, name, uid }, about, text } = word;
    let reason = about.reason();
    let hash = hash(&[uid, reason]);
    let now = Time(Timestamp::now());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{hash:016x}", cut(name, NAME - 17).trim_end_matches(['.', '-']))),
            namespace: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.to_string()),
            name: Some(name.to_string()),
            uid: Some(uid.to_string()),
            ..ObjectReference::default()
        },
        reason: Some(reason.to_owned()),
        message: Some(text.to_string()),
        type_: Some(kind.to_owned()),
        count: Some(1),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        source: Some(EventSource { component: Some(MANAGER.to_owned()), host: None }),
        reporting_component: Some("curfew.dev/watch".to_owned()),
        ..Event::default()
    }
}

// === impl About ===

impl About {
    /// The event's reason.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Stuck(..) => "SidecarStuck",
            Self::Left => "LeftAlone",
            Self::PassedOver => "PassedOver",
        }
    }
}

// === impl Answer ===

impl Answer {
    fn settled(settled: Settled, outcome: &'static str) -> Self {
        Self { settled, outcome, pause: None, error: None }
    }

    /// There is none.
    fn none() -> Self {
        let error = format!("no answer from the API server within {} s", ANSWER.as_secs());
        Self { settled: Settled::Failed, outcome: "failed", pause: Some(PAUSE), error: Some(error) }
    }

    /// A request that failed. Of what concerns one pod only, the others are not to wait.
    fn failed(error: &Error) -> Self {
        let (settled, outcome, pause) = match error {
            Error::Api(status) => {
                let asked = status.details.as_ref().map(|details| details.retry_after_seconds);
                let asked =
                    asked.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
                match status.code {
                    409 => (Settled::Failed, "conflict", None),
                    429 | 500.. => (Settled::Failed, "failed", Some(asked.unwrap_or(PAUSE).max(PAUSE))),
                    _ => (Settled::Refused, "refused", None),
                }
            }
            _ => (Settled::Failed, "failed", Some(PAUSE)),
        };
        Self { settled, outcome, pause, error: Some(told(error)) }
    }
}

/// At most that many bytes of a text, and whole characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The UID in the patch is another pod's: one that took the place of the pod that was to be marked.
fn is_another(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 422 && causes.into_iter().any(|cause| cause.field == "metadata.uid")
}

fn has_cause(status: &kube::core::Status, reason: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
}

/// An error with what is behind it; those of the API server have it all in their message.
fn told(error: &Error) -> String {
    if let Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
