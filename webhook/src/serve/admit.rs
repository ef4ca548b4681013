//! What the server asks of the admission logic, and what happens when that logic panics.

use axum::http::StatusCode;
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{any::Any, borrow::Cow, panic::AssertUnwindSafe};

/// Turns the body of one review into its answer.
///
/// It runs on the thread that reads the connection, so it must not block, and what it waits for needs a bound of its
/// own: the API server waits for the answer.
pub trait Admit: Send + Sync + 'static {
    /// Answers one review; `body` is never empty.
    fn review<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Answer>;
}

/// What goes back to the apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 for an `AdmissionReview`; anything else goes out as plain text.
    pub status: StatusCode,
    /// The whole body.
    pub body: Vec<u8>,
    /// For the metrics; none when the body was no review.
    pub facts: Option<Facts>,
}

/// What the metrics tell of one review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The kind of workload. It becomes a label, so it must be one of few.
    pub workload: Cow<'static, str>,
    /// The strategy carried out.
    pub strategy: &'static str,
    /// `patched`, `unchanged`, `skipped` or `failed`.
    pub outcome: &'static str,
    /// The length of the patch, before base64; 0 for none.
    pub patch_bytes: usize,
}

/// As much of a review as an answer needs. Nothing is required: it is read when something already went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    api_version: Option<String>,
    request: Request,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    uid: String,
}

const WARNING: &str = "curfew: this pod was admitted unchanged, because reviewing it failed unexpectedly; \
                       the webhook's log says where";

impl<F> Admit for F
where
    F: Fn(&[u8]) -> Answer + Send + Sync + 'static,
{
    fn review<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Answer> {
        future::lazy(|_| self(body)).boxed()
    }
}

/// Asks `admit`, and admits the pod if that panics: a mistake of ours must not keep anybody's pod from running.
pub(super) async fn review(admit: &dyn Admit, body: &[u8]) -> Answer {
    // Nothing is shared with the call but `admit` itself, which keeps no state that a panic could leave half-changed.
    AssertUnwindSafe(admit.review(body)).catch_unwind().await.unwrap_or_else(|panic| {
        tracing::error!(panic = message(panic.as_ref()), "Review panicked, pod admitted unchanged");
        admitted_unreviewed(body)
    })
}

/// `allowed` for whatever uid the body holds, in the version it was asked in.
fn admitted_unreviewed(body: &[u8]) -> Answer {
    let asked = serde_json::from_slice(body).unwrap_or_else(|_| salvaged(body));
    let review = json!({
        "apiVersion": asked.api_version.as_deref().unwrap_or("admission.k8s.io/v1"),
        "kind": "AdmissionReview",
        "response": { "uid": asked.request.uid, "allowed": true, "warnings": [WARNING] },
    });
    let facts = Facts { workload: "unknown".into(), strategy: "unknown", outcome: "failed", patch_bytes: 0 };
    Answer { status: StatusCode::OK, body: review.to_string().into_bytes(), facts: Some(facts) }
}

/// The same for a body whose types are not the expected ones.
fn salvaged(body: &[u8]) -> Asked {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    Asked {
        api_version: text("/apiVersion"),
        request: Request { uid: text("/request/uid").unwrap_or_default() },
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(body: &str) -> Value {
        let panics = |_: &[u8]| -> Answer { panic!("on purpose") };
        let answer = review(&panics, body.as_bytes()).now_or_never().unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.facts.unwrap().outcome, "failed");
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn an_answer_passes_through_untouched() {
        let answer = Answer { status: StatusCode::BAD_REQUEST, body: b"no".to_vec(), facts: None };
        let same = answer.clone();
        assert_eq!(review(&move |_: &[u8]| same.clone(), b"x").now_or_never(), Some(answer));
    }

    #[test]
    fn a_panic_admits_the_pod_by_its_uid_in_its_version() {
        for version in ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"] {
            let body = format!(r#"{{"apiVersion":"{version}","request":{{"uid":"u-1","object":[]}}}}"#);
            let review = answer_to(&body);
            assert_eq!(review["apiVersion"], version);
            assert_eq!(review["kind"], "AdmissionReview");
            assert_eq!(review["response"]["uid"], "u-1");
            assert_eq!(review["response"]["allowed"], true);
            assert!(review["response"].get("patch").is_none());
        }
    }

    #[test]
    fn a_panic_is_answered_whatever_the_body_was() {
        for (body, uid) in [
            ("garbage", ""),
            ("[]", ""),
            ("{}", ""),
            (r#"{"request":null}"#, ""),
            (r#"{"request":{"uid":7}}"#, ""),
            (r#"{"apiVersion":1,"request":{"uid":"u-2"}}"#, "u-2"),
        ] {
            let review = answer_to(body);
            assert_eq!(review["response"]["uid"], uid, "{body}");
            assert_eq!(review["response"]["allowed"], true, "{body}");
            assert_eq!(review["apiVersion"], "admission.k8s.io/v1", "{body}");
        }
    }

    #[test]
    fn the_warning_is_short_enough_to_arrive_whole() {
        assert!(WARNING.len() <= 200);
    }

    #[test]
    fn the_message_of_a_panic_is_found() {
        assert_eq!(message(&"text"), "text");
        assert_eq!(message(&String::from("owned")), "owned");
        assert_eq!(message(&7_u8), "no message");
    }
}
