//! Curfew is away, or being replaced: pods wait for it, and none slips through.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Space, job, pod_of, with};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// What a roll-out may take.
pub(crate) const MINUTES: Duration = Duration::from_secs(180);

/// Curfew itself.
fn deployment(space: &Space) -> Api<Deployment> {
    Api::namespaced(space.client(), "curfew")
}

/// Changes the Deployment of Curfew.
pub(crate) async fn change(space: &Space, spec: Value) -> Result<()> {
    let change = Patch::Merge(json!({"spec": spec}));
    deployment(space).patch("curfew", &PatchParams::default(), &change).await?;
    Ok(())
}

/// Waits until this many replicas of the newest kind answer and no other is left.
pub(crate) async fn settled(space: &Space, replicas: i32) -> Result<()> {
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
                space
                    .until("nobody answers for Curfew", MINUTES, async || {
                        let left = replicas(space).await?;
                        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
                    })
                    .await?;
                space.apply(job("work", "true")).await?;
                let why = space.refused("work").await?;
                ensure!(why.contains("namespaces.curfew.dev"), "{why}");
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

/// At least this many Jobs, and as many more as the roll-out takes.
const JOBS: usize = 200;

#[tokio::test]
async fn rolled_while_200_jobs_are_made_it_misses_none() -> Result<()> {
    Setup::new("curfew rolled")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let before = replicas(space).await?;
            let stamp = format!("{:?}", std::time::SystemTime::now());
            let rolled = Cell::new(None);
            let made = Cell::new(0);
            let make = async {
                // A steady stream, which the roll-out begins and ends within.
                let mut pace = tokio::time::interval(Duration::from_millis(60));
                while made.get() < JOBS || rolled.get().is_none_or(|at| made.get() < at + JOBS / 10) {
                    pace.tick().await;
                    space.apply(gated(made.get())).await?;
                    made.set(made.get() + 1);
                }
                anyhow::Ok(())
            };
            let roll = async {
                space
                    .until("the first Jobs are made", MINUTES, async || {
                        Ok(if made.get() > JOBS / 10 { Ok(()) } else { Err(made.get()) })
                    })
                    .await?;
                let template = json!({"metadata": {"annotations": {"e2e.curfew.dev/rolled": stamp}}});
                change(space, json!({"template": template})).await?;
                settled(space, 2).await?;
                // Old replicas answer to the end of their grace.
                space
                    .until("the old replicas are gone", MINUTES, async || {
                        let now = replicas(space).await?;
                        Ok(if now.is_disjoint(&before) { Ok(()) } else { Err(now) })
                    })
                    .await?;
                rolled.set(Some(made.get()));
                anyhow::Ok(())
            };
            let (made_all, rolled) = tokio::join!(make, roll);
            made_all?;
            rolled?;
            none_missed(space, made.get()).await
        })
        .await
}

/// A Job whose pod is admitted as any is, and does not crowd the node.
fn gated(number: usize) -> Value {
    with(job(&format!("work-{number}"), "true"), |job| {
        pod_of(job)["schedulingGates"] = json!([{"name": "e2e.curfew.dev/never"}]);
    })
}

/// The pods of Curfew, by name.
pub(crate) async fn replicas(space: &Space) -> Result<BTreeSet<String>> {
    let pods = Api::<Pod>::namespaced(space.client(), "curfew").list(&ListParams::default()).await?.items;
    Ok(pods.iter().map(ResourceExt::name_any).collect())
}

/// Every Job has its one pod, every pod is patched, and none was refused first: the controller would have made another.
async fn none_missed(space: &Space, jobs: usize) -> Result<()> {
    let pods = space
        .until("every Job has its pod", MINUTES, async || {
            let pods = space.api::<Pod>().list(&ListParams::default()).await?.items;
            Ok(if pods.len() >= jobs { Ok(pods) } else { Err(pods.len()) })
        })
        .await?;
    let label = |pod: &Pod, key: &str| pod.labels().get(key).cloned();
    let owners: Option<BTreeSet<_>> = pods.iter().map(|pod| label(pod, "job-name")).collect();
    ensure!(owners.context("a pod without a Job")?.len() == jobs, "some of {jobs} Jobs have no pod");
    space.meshed(Shape::Linkerd).await?;
    let refused =
        space.api::<Event>().list(&ListParams::default().fields("reason=FailedCreate")).await?.items;
    ensure!(refused.is_empty(), "refused, and made again: {:?}", refused[0].message);
    Ok(())
}
