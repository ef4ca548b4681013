//! The wire format `admission.k8s.io/v1`.
//!
//! Own types: kube's serialise the patch as an array of numbers where the API asks for base64 (kube-rs/kube#1781),
//! and read the pod into a type, which would lose the fields that type does not know.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use json_patch::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The API server cuts warnings at 256 characters once they total 4 KiB (kubernetes 1.36.3); these stay whole.
const WARNING_CHARS: usize = 200;
/// And there is a reader at the other end.
const WARNINGS: usize = 8;

/// A review that asks something.
#[derive(Debug)]
pub(super) struct Review {
    api_version: String,
    pub(super) request: Request,
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    pub(super) object: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

/// What is answered: always an admission.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
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
    #[error("the body is a `{kind}` of `{api_version}`, not an AdmissionReview of admission.k8s.io/v1")]
    NoReview { api_version: String, kind: String },
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

impl Review {
    pub(super) fn read(body: &[u8]) -> Result<Self, ReviewError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            kind: String,
            request: Option<Request>,
        }
        let Wire { api_version, kind, request } = serde_json::from_slice(body)?;
        if kind != "AdmissionReview" || !api_version.starts_with("admission.k8s.io/") {
            return Err(ReviewError::NoReview { api_version, kind });
        }
        // v1beta1 has the same shape: its pod is admitted too, in its own version.
        Ok(Self { api_version, request: request.ok_or(ReviewError::NoRequest)? })
    }

    pub(super) fn answer(&self, response: &Response) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            api_version: &'a str,
            kind: &'a str,
            response: &'a Response,
        }
        let wire = Wire { api_version: &self.api_version, kind: "AdmissionReview", response };
        // Strings and maps of strings always serialise.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

impl Request {
    /// Why this is nothing the webhook was registered for, if so.
    pub(super) fn not_ours(&self) -> Option<String> {
        let Kind { group, version, kind } = &self.kind;
        if (group.as_str(), version.as_str(), kind.as_str()) != ("", "v1", "Pod")
            || !self.sub_resource.is_empty()
        {
            let slash = if self.sub_resource.is_empty() { "" } else { "/" };
            return Some(format!(
                "asked about {group}/{version} {kind}{slash}{}, not about a v1 Pod",
                self.sub_resource
            ));
        }
        if self.operation != "CREATE" {
            return Some(format!("asked at {}, not at CREATE", self.operation));
        }
        (!self.object.is_object()).then(|| "the request has no object".to_owned())
    }
}

impl Response {
    pub(super) fn admit(uid: &str) -> Self {
        Self { uid: uid.to_owned(), allowed: true, ..Self::default() }
    }

    pub(super) fn warn(mut self, warnings: &[String]) -> Self {
        self.warnings = warnings.iter().take(WARNINGS).map(|warning| shorten(warning)).collect();
        self
    }

    pub(super) fn audit(mut self, annotations: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.audit_annotations = annotations.into_iter().collect();
        self
    }

    /// Adds the patch; answers its size in bytes, before base64.
    pub(super) fn patch(mut self, patch: &Patch) -> (Self, usize) {
        // Pointers and JSON values always serialise.
        let bytes = serde_json::to_vec(patch).unwrap_or_default();
        self.patch_type = Some("JSONPatch");
        self.patch = Some(STANDARD.encode(&bytes));
        (self, bytes.len())
    }
}

fn shorten(warning: &str) -> String {
    match warning.char_indices().nth(WARNING_CHARS - 1) {
        Some((end, _)) if warning.chars().count() > WARNING_CHARS => format!("{}…", &warning[..end]),
        _ => warning.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_is_the_one_kubernetes_documents() {
        // The shape of the example in the Kubernetes documentation, "Dynamic Admission Control", "Response".
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002"}})
        .to_string();
        let review = Review::read(body.as_bytes()).expect("a review");
        let patch: Patch =
            serde_json::from_value(json!([{"op": "add", "path": "/spec/replicas", "value": 3}]))
                .expect("a patch");
        let (response, size) = Response::admit(&review.request.uid).patch(&patch);
        let answer: Value = serde_json::from_slice(&review.answer(&response)).expect("JSON");
        assert_eq!(
            answer,
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": true, "patchType": "JSONPatch",
                "patch": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvcmVwbGljYXMiLCJ2YWx1ZSI6M31d"}})
        );
        assert_eq!(size, 48);
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
