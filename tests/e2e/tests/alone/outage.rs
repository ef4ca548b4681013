//! Curfew is away, or being replaced: pods wait for it, and none slips through.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Space, job, pod_of, with};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const MINUTES: Duration = Duration::from_secs(180);

/// Curfew itself.
fn deployment(space: &Space) -> Api<Deployment> {
    Api::namespaced(space.client(), "curfew")
}

async fn change(space: &Space, spec: Value) -> Result<()> {
    let change = Patch::Merge(json!({"spec": spec}));
    deployment(space).patch("curfew", &PatchParams::default(), &change).await?;
    Ok(())
}

/// Waits until this many replicas of the newest kind answer and no other is left.
async fn settled(space: &Space, replicas: i32) -> Result<()> {
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

#[tokio::test]
async fn while_curfew_is_down_jobs_wait_and_then_run() -> Result<()> {
    Setup::new("curfew down")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            change(space, json!({"replicas": 0})).await?;
            let result = async {
                // A replica that is going answers on the connections it has to its last moment.
                let replicas = Api::<Pod>::namespaced(space.client(), "curfew");
                space
                    .until("nobody answers for Curfew", MINUTES, async || {
                        let left = replicas.list(&ListParams::default()).await?.items;
                        Ok(if left.is_empty() { Ok(()) } else { Err(left.len()) })
                    })
                    .await?;
                space.apply(job("work", "true")).await?;
                space
                    .until("the Job's pod is refused", MINUTES, async || {
                        let events = space.events_of("work").await?;
                        let refused = events.iter().any(|event| event.contains("namespaces.curfew.dev"));
                        Ok(if refused { Ok(()) } else { Err(events) })
                    })
                    .await?;
                ensure!(space.pods_of("work").await?.is_empty(), "a pod slipped through");
                Ok(())
            }
            .await;
            change(space, json!({"replicas": 2})).await?;
            settled(space, 2).await?;
            result?;
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn rolled_while_200_jobs_are_made_it_misses_none() -> Result<()> {
    const JOBS: usize = 200;
    Setup::new("curfew rolled")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            // Gated pods are admitted as any are, and do not crowd the node.
            let gated = |number: usize| {
                with(job(&format!("work-{number}"), "true"), |job| {
                    pod_of(job)["schedulingGates"] = json!([{"name": "e2e.curfew.dev/never"}]);
                })
            };
            let stamp = format!("{:?}", std::time::SystemTime::now());
            let template = json!({"metadata": {"annotations": {"e2e.curfew.dev/rolled": stamp}}});
            let create = stream::iter(0..JOBS).map(|number| space.apply(gated(number)));
            let create = create.buffer_unordered(4).try_collect::<Vec<_>>();
            let (created, rolled) = tokio::join!(create, async {
                change(space, json!({"template": template})).await?;
                settled(space, 2).await
            });
            created?;
            rolled?;
            let all = space
                .until("every Job has its pod", MINUTES, async || {
                    let pods = space.api::<Pod>().list(&ListParams::default()).await?.items;
                    Ok(if pods.len() >= JOBS { Ok(pods) } else { Err(pods.len()) })
                })
                .await?;
            let label = |pod: &Pod, key: &str| pod.labels().get(key).cloned();
            let jobs: Option<BTreeSet<_>> = all.iter().map(|pod| label(pod, "job-name")).collect();
            ensure!(jobs.context("a pod without a Job")?.len() == JOBS, "some Job has no pod");
            let unpatched: Vec<_> = all
                .iter()
                .filter(|pod| label(pod, "curfew.dev/applied").as_deref() != Some("await"))
                .map(ResourceExt::name_any)
                .collect();
            ensure!(unpatched.is_empty(), "unpatched: {unpatched:?}");
            Ok(())
        })
        .await
}
