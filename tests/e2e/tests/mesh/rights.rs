//! What Curfew's own service account may change of a pod, though it may patch `pods/status`: that it is done, and nothing
//! else. `manifests/kustomize/base/admissionpolicy.yaml` sees to it.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, image};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// As whom the replicas of Curfew ask.
const CURFEW: &str = "system:serviceaccount:curfew:curfew";
/// The pod whose status is patched.
const POD: &str = "work";

/// Patches the status of the pod; why not, where that is refused.
async fn refusal(pods: &Api<Pod>, patch: &Value) -> Result<Option<String>> {
    match pods.patch_status(POD, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Sees that the policy refuses the patch, for this reason.
async fn is_refused(pods: &Api<Pod>, patch: Value, why: &str) -> Result<()> {
    let said = refusal(pods, &patch).await?.with_context(|| format!("{patch} was let through"))?;
    ensure!(
        said.contains("curfew-watch") && said.contains(why),
        "{patch} was refused for another reason: {said}"
    );
    Ok(())
}

fn annotation(key: &str, value: Option<&str>) -> Value {
    json!({"metadata": {"annotations": {key: value}}})
}

#[tokio::test]
async fn the_watch_may_tell_a_pod_its_own_uid_and_change_nothing_else_of_it() -> Result<()> {
    Setup::new("rights of the watch")
        .run(async |space| {
            let work = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": POD, "labels": {"kept": "yes"}, "annotations": {"kept": "yes"}},
                "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [
                    {"name": "main", "image": image("test-busybox"), "command": ["sleep", "1000"]}]}});
            space.apply(work).await?;
            let uid = space.api::<Pod>().get(POD).await?.uid().context("a pod without a UID")?;

            let pods = Api::<Pod>::namespaced(space.client_as(CURFEW).await?, space.name());

            let status = "the spec or the status of a pod";
            let ready = json!([{"type": "Ready", "status": "True", "reason": "SaysCurfew"}]);
            let another = "11111111-2222-3333-4444-555555555555";
            let own_only = "to the pod's own UID only";
            let annotations = "any annotation of a pod but curfew.dev/done";
            let refused = async {
                for (patch, why) in [
                    (json!({"status": {"phase": "Succeeded"}}), status),
                    (json!({"status": {"conditions": ready}}), status),
                    (json!({"metadata": {"labels": {"added": "yes"}}}), "the labels of a pod"),
                    (json!({"metadata": {"labels": {"kept": null}}}), "the labels of a pod"),
                    (
                        json!({"metadata": {"finalizers": ["e2e.curfew.dev/stays"]}}),
                        "the finalizers of a pod",
                    ),
                    (annotation("added", Some("yes")), annotations),
                    (annotation("kept", Some("no")), annotations),
                    (annotation("kept", None), annotations),
                    (annotation("curfew.dev/done", Some(another)), own_only),
                ] {
                    is_refused(&pods, patch, why).await?;
                }
                anyhow::Ok(())
            }
            .await;
            // One that slipped through would keep the namespace.
            let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            space.api::<Pod>().patch(POD, &PatchParams::default(), &free).await?;
            refused?;
            let own = annotation("curfew.dev/done", Some(&uid));
            for _ in 0..2 {
                let said = refusal(&pods, &own).await?;
                ensure!(said.is_none(), "its own UID was refused: {said:?}");
            }
            is_refused(&pods, annotation("curfew.dev/done", Some(another)), own_only).await?;
            is_refused(&pods, annotation("curfew.dev/done", None), annotations).await?;

            // And by no other way than the status.
            let whole = pods.patch(POD, &PatchParams::default(), &Patch::Merge(&own)).await;
            ensure!(matches!(&whole, Err(kube::Error::Api(status)) if status.code == 403), "{whole:?}");
            let pod = space.api::<Pod>().get(POD).await?;
            ensure!(pod.annotations().get("curfew.dev/done") == Some(&uid), "{:?}", pod.annotations());
            ensure!(pod.labels().len() == 1 && pod.finalizers().is_empty(), "{:?}", pod.metadata);
            Ok(())
        })
        .await
}
