//! AdmissionReviews as the API server writes and reads them.

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use json_patch::Patch;
use serde_json::{Value, json};

/// What the webhook decided.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The patch; without one the pod stays as it is.
    pub(super) patch: Option<Patch>,
    /// Warnings for whoever created the pod.
    pub(super) warnings: Vec<String>,
}

/// The review of a pod that is to be created.
pub(super) fn review(pod: &Value, uid: &str) -> Value {
    let group = |resource: &str| {
        json!({ "group": "", "version": "v1", resource: match resource {
        "kind" => "Pod",
        _ => "pods",
    } })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": group("kind"),
            "resource": group("resource"),
            "requestKind": group("kind"),
            "requestResource": group("resource"),
            "namespace": pod.pointer("/metadata/namespace").cloned().unwrap_or_else(|| json!("default")),
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:job-controller",
                "groups": ["system:serviceaccounts", "system:authenticated"],
            },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions" },
        },
    })
}

/// Reads the webhook's answer to the review `uid`.
///
/// # Errors
/// When the API server would not take it either, or when it denies the pod.
pub(super) fn read(answer: &Value, uid: &str) -> anyhow::Result<Answer> {
    ensure!(
        answer["apiVersion"] == "admission.k8s.io/v1" && answer["kind"] == "AdmissionReview",
        "no AdmissionReview"
    );
    let response = &answer["response"];
    ensure!(response["uid"] == uid, "the answer is for review {}", response["uid"]);
    ensure!(response["allowed"] == true, "the pod was denied: {}", response["status"]);
    let patch = match response.get("patch") {
        None | Some(Value::Null) => None,
        Some(Value::String(patch)) => {
            ensure!(response["patchType"] == "JSONPatch", "patchType is {}", response["patchType"]);
            let bytes = STANDARD.decode(patch).context("the patch is no base64")?;
            Some(serde_json::from_slice(&bytes).context("the patch is no JSON Patch")?)
        }
        Some(other) => bail!("the patch is {other}, not base64"),
    };
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(|warning| Some(warning.as_str()?.to_owned())).collect();
    Ok(Answer { patch, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Value {
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
    }

    #[test]
    fn a_patch_is_decoded() {
        let patch = STANDARD.encode(r#"[{"op":"add","path":"/a","value":1}]"#);
        let good = answer(json!({ "uid": "1", "allowed": true, "patchType": "JSONPatch", "patch": patch }));
        let mut pod = json!({});
        json_patch::patch(&mut pod, &read(&good, "1").unwrap().patch.unwrap()).unwrap();
        assert_eq!(pod, json!({ "a": 1 }));
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused() {
        let good = json!({ "uid": "1", "allowed": true });
        assert!(read(&answer(good.clone()), "1").unwrap().patch.is_none());
        assert!(read(&answer(good), "2").is_err());
        for response in [
            json!({ "uid": "1", "allowed": false }),
            json!({ "uid": "1", "allowed": true, "patch": "W10=" }),
            json!({ "uid": "1", "allowed": true, "patchType": "JSONPatch", "patch": [91, 93] }),
            json!({ "uid": "1", "allowed": true, "patchType": "JSONPatch", "patch": "*" }),
            json!(null),
        ] {
            assert!(read(&answer(response.clone()), "1").is_err(), "{response}");
        }
        assert!(read(&json!("garbage"), "1").is_err());
    }
}
