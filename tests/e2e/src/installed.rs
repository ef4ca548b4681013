//! Curfew as it is installed: its replicas, and changing them.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{Space, image};

/// What a roll-out may take.
pub const MINUTES: Duration = Duration::from_secs(180);

/// Its Deployment.
pub fn deployment(space: &Space) -> Api<Deployment> {
    Api::namespaced(space.client(), "curfew")
}

/// Its pods, and whatever else is in its namespace.
pub fn pods(space: &Space) -> Api<Pod> {
    Api::namespaced(space.client(), "curfew")
}

/// Changes the Deployment.
///
/// # Errors
/// The API server's.
pub async fn change(space: &Space, spec: Value) -> Result<()> {
    let change = Patch::Strategic(json!({"spec": spec}));
    deployment(space).patch("curfew", &PatchParams::default(), &change).await?;
    Ok(())
}

/// Waits until this many replicas of the newest kind answer and no other is left.
///
/// # Errors
/// It did not come to that.
pub async fn settled(space: &Space, replicas: i32) -> Result<()> {
    space
        .until(&format!("{replicas} replicas of Curfew"), MINUTES, async || {
            let found = deployment(space).get("curfew").await?;
            let generation = found.metadata.generation;
            let status = found.status.unwrap_or_default();
            let seen = (
                status.observed_generation == generation,
                status.replicas.unwrap_or_default(),
                status.updated_replicas.unwrap_or_default(),
                status.available_replicas.unwrap_or_default(),
            );
            Ok(if seen == (true, replicas, replicas, replicas) { Ok(()) } else { Err(seen) })
        })
        .await
}

/// Runs `body` while there is no replica, and has them all back afterwards, answering in this namespace, which is a labelled
/// one.
///
/// # Errors
/// Its own, or they do not go or come.
pub async fn while_away(space: &Space, body: impl Future<Output = Result<()>>) -> Result<()> {
    let before = replicas(space).await?;
    change(space, json!({"replicas": 0})).await?;
    let result = async {
        // A replica that is going answers on the connections it has to its last moment.
        gone(space, &before).await?;
        body.await
    }
    .await;
    change(space, json!({"replicas": 2})).await?;
    settled(space, 2).await?;
    all_is_well(space).await?;
    result
}

/// Whether a pod of this namespace, which is labelled, would be admitted, and patched. None is made.
///
/// # Errors
/// It would not.
pub async fn admitted(space: &Space) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "asked-"},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": image("test-busybox"), "command": ["true"]},
            {"name": "linkerd-proxy", "image": image("test-busybox"), "command": ["true"]},
        ]},
    }))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pod = space.api::<Pod>().create(&dry, &pod).await?;
    ensure!(pod.labels().contains_key("curfew.dev/applied"), "admitted, but not patched");
    Ok(())
}

/// Waits until such a pod is admitted and patched: API servers read a bundle a moment after it is written, and nodes send
/// traffic to the first replica a moment after it is ready.
///
/// # Errors
/// It is not.
pub async fn all_is_well(space: &Space) -> Result<()> {
    space
        .until("labelled pods are admitted", MINUTES, async || {
            Ok(admitted(space).await.map_err(|error| format!("{error:#}")))
        })
        .await
}

/// Starts all replicas anew, one after another, and waits until those there were are gone.
///
/// # Errors
/// It did not come to that.
pub async fn rolled(space: &Space) -> Result<()> {
    let before = replicas(space).await?;
    let stamp = format!("{:?}", std::time::SystemTime::now());
    change(space, json!({"template": {"metadata": {"annotations": {"e2e.curfew.dev/rolled": stamp}}}}))
        .await?;
    settled(space, 2).await?;
    gone(space, &before).await
}

/// Waits until none of these replicas is left: they answer to the end of their grace.
///
/// # Errors
/// One stays.
pub async fn gone(space: &Space, those: &BTreeSet<String>) -> Result<()> {
    space
        .until("the old replicas are gone", MINUTES, async || {
            let now = replicas(space).await?;
            Ok(if now.is_disjoint(those) { Ok(()) } else { Err(now) })
        })
        .await
}

/// The pods of Curfew, by name.
///
/// # Errors
/// The API server's.
pub async fn replicas(space: &Space) -> Result<BTreeSet<String>> {
    let pods = pods(space).list(&ListParams::default()).await?.items;
    Ok(pods.iter().map(ResourceExt::name_any).collect())
}

/// Whether traffic may be sent to the pod.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
