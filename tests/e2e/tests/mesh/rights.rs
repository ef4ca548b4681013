//! What Curfew's own service account may change where it may patch: of a pod that it is done, of its webhook configuration
//! the bundles, and nothing else. `manifests/kustomize/base/admissionpolicy.yaml` sees to it.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, image};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// As whom the replicas of Curfew ask.
const CURFEW: &str = "system:serviceaccount:curfew:curfew";
/// The pod whose status is patched.
const POD: &str = "work";
/// Its webhook configuration.
const CONFIGURATION: &str = "00-curfew";

/// Why the API server refused, if it did.
fn refusal<K>(answer: kube::Result<K>) -> Result<Option<String>> {
    match answer {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Sees that the policy refused what was asked, for this reason.
fn is_refused<K>(answer: kube::Result<K>, asked: &str, policy: &str, why: &str) -> Result<()> {
    let said = refusal(answer)?.with_context(|| format!("{asked} was let through"))?;
    ensure!(said.contains(policy) && said.contains(why), "{asked} was refused for another reason: {said}");
    Ok(())
}

/// Sees that the status of the pod cannot be patched so, for this reason.
async fn pod_is_kept(pods: &Api<Pod>, patch: Value, why: &str) -> Result<()> {
    let answer = pods.patch_status(POD, &PatchParams::default(), &Patch::Merge(&patch)).await;
    is_refused(answer, &patch.to_string(), "curfew-watch", why)
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
                    pod_is_kept(&pods, patch, why).await?;
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
                let said =
                    refusal(pods.patch_status(POD, &PatchParams::default(), &Patch::Merge(&own)).await)?;
                ensure!(said.is_none(), "its own UID was refused: {said:?}");
            }
            pod_is_kept(&pods, annotation("curfew.dev/done", Some(another)), own_only).await?;
            pod_is_kept(&pods, annotation("curfew.dev/done", None), annotations).await?;

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

/// Beside other tests, whose pods the configuration is about: nothing is really changed.
fn dry() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

/// Operations of a JSON patch.
fn operations(operations: Value) -> Result<Patch<Value>> {
    Ok(Patch::Json(serde_json::from_value(operations)?))
}

fn replaced(path: &str, value: Value) -> Result<Patch<Value>> {
    operations(json!([{"op": "replace", "path": path, "value": value}]))
}

fn metadata(metadata: Value) -> Patch<Value> {
    Patch::Merge(json!({"metadata": metadata}))
}

#[tokio::test]
async fn its_certificates_may_change_the_bundles_and_nothing_else_of_the_webhook_configuration() -> Result<()>
{
    Setup::new("rights of the certificates")
        .run(async |space| {
            let configurations = Api::<MutatingWebhookConfiguration>::all(space.client_as(CURFEW).await?);
            let own = configurations.get(CONFIGURATION).await?;
            let mut another = own.webhooks.iter().flatten().next().context("no webhook")?.clone();
            another.name = "another.curfew.dev".to_owned();
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"});
            let number = "add, remove, rename or reorder webhooks";

            for (patch, why) in [
                (replaced("/webhooks/0/namespaceSelector", json!({}))?, "change namespaceSelector of"),
                (replaced("/webhooks/1/objectSelector", json!({}))?, "change objectSelector of"),
                (replaced("/webhooks/0/rules/0/resources", json!(["*"]))?, "change rules of"),
                (
                    operations(json!([{"op": "remove", "path": "/webhooks/1/matchConditions"}]))?,
                    "matchConditions of",
                ),
                (replaced("/webhooks/0/failurePolicy", json!("Ignore"))?, "change failurePolicy of"),
                (replaced("/webhooks/1/timeoutSeconds", json!(30))?, "change timeoutSeconds of"),
                (
                    replaced("/webhooks/0/clientConfig/service/namespace", json!(space.name()))?,
                    "change service of",
                ),
                (
                    replaced("/webhooks/1/clientConfig", json!({"url": "https://elsewhere.example"}))?,
                    "change url, service of",
                ),
                (operations(json!([{"op": "add", "path": "/webhooks/-", "value": another}]))?, number),
                (operations(json!([{"op": "remove", "path": "/webhooks/1"}]))?, number),
                (operations(json!([{"op": "remove", "path": "/webhooks"}]))?, number),
                (operations(json!([{"op": "move", "from": "/webhooks/1", "path": "/webhooks/0"}]))?, number),
                (replaced("/webhooks/0/name", json!("another.curfew.dev"))?, number),
                (metadata(json!({"annotations": {"added": "yes"}})), "change annotations of"),
                (metadata(json!({"labels": {"app.kubernetes.io/name": null}})), "change labels of"),
                (metadata(json!({"finalizers": ["e2e.curfew.dev/stays"]})), "change finalizers of"),
                (metadata(json!({"ownerReferences": [owner]})), "change ownerReferences of"),
            ] {
                let answer = configurations.patch(CONFIGURATION, &dry(), &patch).await;
                is_refused(answer, &format!("{patch:?}"), "curfew-certificates", why)?;
            }

            // Another bundle on each is let through, and so is none at all.
            let bundle = ByteString(b"another bundle".to_vec());
            let path = |place: usize| format!("/webhooks/{place}/clientConfig/caBundle");
            let published = [0, 1].map(|place| json!({"op": "add", "path": path(place), "value": bundle}));
            let patch = operations(json!(published))?;
            let changed = configurations.patch(CONFIGURATION, &dry(), &patch).await?;
            for webhook in changed.webhooks.iter().flatten() {
                ensure!(webhook.client_config.ca_bundle.as_ref() == Some(&bundle), "{webhook:?}");
            }
            let blank = operations(json!([{"op": "remove", "path": path(0)}]))?;
            configurations.patch(CONFIGURATION, &dry(), &blank).await?;

            // Others may do what they may: the policy is about this account.
            let by_others = Api::<MutatingWebhookConfiguration>::all(space.client());
            let patch = metadata(json!({"annotations": {"added": "yes"}}));
            by_others.patch(CONFIGURATION, &dry(), &patch).await?;
            Ok(())
        })
        .await
}
