//! Curfew is away, or being replaced: pods wait for it, and none slips through.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    Setup, Shape, Space,
    installed::{self, MINUTES, while_away},
    job, pod_of, with,
};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::certificates::stream::steady;

#[tokio::test]
async fn while_curfew_is_down_jobs_wait_and_then_run() -> Result<()> {
    Setup::new("curfew down")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            while_away(space, async {
                space.apply(job("work", "true")).await?;
                space.refused("work", &["namespaces.curfew.dev"]).await
            })
            .await?;
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
            let rolled = Cell::new(None);
            let made = Cell::new(0);
            let make = async {
                // A steady stream, which the roll-out begins and ends within.
                let mut pace = steady(Duration::from_millis(60));
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
                installed::rolled(space).await?;
                rolled.set(Some(made.get()));
                anyhow::Ok(())
            };
            tokio::try_join!(make, roll)?;
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
    none_refused(space).await
}

/// No pod was refused at first, which nothing but an event would tell of.
pub(crate) async fn none_refused(space: &Space) -> Result<()> {
    let refused =
        space.api::<Event>().list(&ListParams::default().fields("reason=FailedCreate")).await?.items;
    ensure!(refused.is_empty(), "refused, and made again: {:?}", refused[0].message);
    Ok(())
}
