//! The wire format `admission.k8s.io/v1`.
//!
//! Own types: kube's serialise the patch as an array of numbers where the API asks for base64 (kube-rs/kube#1781),
//! and read the pod into a type that owns all of it.

use std::{borrow::Cow, collections::BTreeMap, str::Utf8Error};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::value::RawValue;

use crate::pod::{Object, Pod};

/// Values in a body. A pod has some hundred, a huge one some thousand. What consists of the shortest values that can be
/// written takes, as it is read, fifty times its length and more.
const MOST_VALUES: usize = 20_000;
/// The API server cuts warnings at 256 characters once they total 4 KiB (kubernetes 1.36.3); these stay whole.
const WARNING_CHARS: usize = 200;
/// And there is a reader at the other end.
const WARNINGS: usize = 8;

/// A review that asks something.
#[derive(Debug)]
pub(super) struct Review<'a> {
    api_version: Cow<'a, str>,
    pub(super) request: Request<'a>,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) uid: Cow<'a, str>,
    kind: Kind<'a>,
    pub(super) namespace: Cow<'a, str>,
    operation: Cow<'a, str>,
    sub_resource: Cow<'a, str>,
    has_object: bool,
    /// The object, or why it is no pod.
    pub(super) pod: Result<Pod<'a>, serde_json::Error>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kind<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// A body, with the object read as `O`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a, O> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, bound(deserialize = "O: Deserialize<'de>"))]
    request: Option<WireRequest<'a, O>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a, O> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Kind<'a>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    sub_resource: Cow<'a, str>,
    object: Option<O>,
}

/// What is answered: always an admission.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

/// Why a body is no review that can be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("the body is no JSON this can read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the body is no JSON this can read: {0}")]
    Utf8(#[from] Utf8Error),
    #[error("the body is a `{kind}` of `{api_version}`, not an AdmissionReview of admission.k8s.io/v1")]
    NoReview { api_version: String, kind: String },
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

impl<'a> Review<'a> {
    /// Reads the envelope and the pod in one pass. Where the object turns out to be no pod, it reads the envelope by
    /// itself: that pod is admitted all the same.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ReviewError> {
        let body = str::from_utf8(body)?;
        let read = match values(body) > MOST_VALUES {
            true => Err(serde_json::Error::custom(format_args!("it has more than {MOST_VALUES} values"))),
            false => serde_json::from_str::<Wire<'_, Object<Pod<'_>>>>(body),
        };
        match read {
            Ok(wire) => Self::of(wire, |Object(pod)| (true, Ok(pod))),
            Err(why) => {
                let wire: Wire<'_, &RawValue> = serde_json::from_str(body)?;
                Self::of(wire, |object| (object.get().starts_with('{'), Err(why)))
            }
        }
    }

    fn of<O>(
        wire: Wire<'a, O>,
        read: impl FnOnce(O) -> (bool, Result<Pod<'a>, serde_json::Error>),
    ) -> Result<Self, ReviewError> {
        let Wire { api_version, kind, request } = wire;
        if kind != "AdmissionReview" || !api_version.starts_with("admission.k8s.io/") {
            let (api_version, kind) = (api_version.into_owned(), kind.into_owned());
            return Err(ReviewError::NoReview { api_version, kind });
        }
        let WireRequest { uid, kind, namespace, operation, sub_resource, object } =
            request.ok_or(ReviewError::NoRequest)?;
        let (has_object, pod) = object.map_or_else(|| (false, Ok(Pod::default())), read);
        // v1beta1 has the same shape: its pod is admitted too, in its own version.
        let request = Request { uid, kind, namespace, operation, sub_resource, has_object, pod };
        Ok(Self { api_version, request })
    }

    pub(super) fn answer(&self, response: &Response<'_>) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            api_version: &'a str,
            kind: &'a str,
            response: &'a Response<'a>,
        }
        let answer = Answer { api_version: &self.api_version, kind: "AdmissionReview", response };
        // Strings and maps of strings always serialise.
        serde_json::to_vec(&answer).unwrap_or_default()
    }
}

impl Request<'_> {
    /// Why this is nothing the webhook was registered for, if so.
    pub(super) fn not_ours(&self) -> Option<String> {
        let Kind { group, version, kind } = &self.kind;
        if (&**group, &**version, &**kind) != ("", "v1", "Pod") || !self.sub_resource.is_empty() {
            let slash = if self.sub_resource.is_empty() { "" } else { "/" };
            return Some(format!(
                "asked about {group}/{version} {kind}{slash}{}, not about a v1 Pod",
                self.sub_resource
            ));
        }
        if self.operation != "CREATE" {
            return Some(format!("asked at {}, not at CREATE", self.operation));
        }
        (!self.has_object).then(|| "the request has no object".to_owned())
    }
}

impl<'a> Response<'a> {
    pub(super) fn admit(uid: &'a str) -> Self {
        Self { uid, allowed: true, ..Self::default() }
    }

    pub(super) fn warn(mut self, warnings: &[String]) -> Self {
        self.warnings = warnings.iter().take(WARNINGS).map(|warning| shorten(warning)).collect();
        self
    }

    pub(super) fn audit(mut self, annotations: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.audit_annotations = annotations.into_iter().collect();
        self
    }

    /// Adds a patch, given as JSON.
    pub(super) fn patch(mut self, patch: &str) -> Self {
        self.patch_type = Some("JSONPatch");
        self.patch = base64(patch);
        self
    }
}

/// As a JSON string. Nothing in base64 needs an escape, so nobody has to look for any.
fn base64(text: &str) -> Option<Box<RawValue>> {
    let mut string = String::with_capacity(text.len().div_ceil(3) * 4 + 2);
    string.push('"');
    STANDARD.encode_string(text, &mut string);
    string.push('"');
    RawValue::from_string(string).ok()
}

/// How many values are written in this JSON, about: those behind a comma.
fn values(json: &str) -> usize {
    let commas = json.bytes().filter(|byte| *byte == b',').count();
    if commas <= MOST_VALUES {
        return commas;
    }
    // Text has commas, too, which takes longer to tell.
    let (mut values, mut quoted, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' if !quoted => values += 1,
            _ => {}
        }
    }
    values
}

fn shorten(warning: &str) -> String {
    match warning.char_indices().nth(WARNING_CHARS - 1) {
        Some((end, _)) if warning.chars().count() > WARNING_CHARS => format!("{}…", &warning[..end]),
        _ => warning.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_answer_is_the_one_kubernetes_documents() {
        // The shape of the example in the Kubernetes documentation, "Dynamic Admission Control", "Response".
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002"}})
        .to_string();
        let review = Review::read(body.as_bytes()).expect("a review");
        let response =
            Response::admit(&review.request.uid).patch(r#"[{"op":"add","path":"/spec/replicas","value":3}]"#);
        let answer: Value = serde_json::from_slice(&review.answer(&response)).expect("JSON");
        assert_eq!(
            answer,
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true, "patchType": "JSONPatch",
                "patch": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvcmVwbGljYXMiLCJ2YWx1ZSI6M31d"}})
        );
    }

    #[test]
    fn what_has_absurdly_many_values_is_not_read_and_text_is_no_value() {
        let review = |object: &Value| {
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {"uid": "u", "object": object}})
            .to_string()
        };
        let container = json!({"name": ""});
        let hostile = review(&json!({"spec": {"containers": vec![container; MOST_VALUES + 2]}}));
        let error = Review::read(hostile.as_bytes()).expect("a review").request.pod.expect_err("unread");
        assert_eq!(error.to_string(), "it has more than 20000 values");

        let text = r#"",\","#.repeat(MOST_VALUES);
        let wordy = review(&json!({"metadata": {"annotations": {"a": text}}}));
        let pod = Review::read(wordy.as_bytes()).expect("a review").request.pod.expect("a pod");
        assert_eq!(pod.metadata.annotation("a"), Some(&*text));
    }

    #[test]
    fn long_warnings_are_cut_on_a_character() {
        let long = "ä".repeat(300);
        let cut = shorten(&long);
        assert_eq!(cut.chars().count(), WARNING_CHARS);
        assert!(cut.ends_with('…'));
        assert_eq!(shorten("short"), "short");
    }
}
