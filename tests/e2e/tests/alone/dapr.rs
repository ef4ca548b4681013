//! Dapr's control plane goes away and comes back. Without it `daprd` never listens, and its own liveness probe ends it, with
//! 1, or with 0 where it was asked while it waited for the operator: the pod fails or is done, and never hangs.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Space, Strategy, annotated, containers, installed::MINUTES, job, vendor_job, with};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// Scales one of Dapr's parts, and waits until it is so.
async fn scale(space: &Space, part: &str, replicas: i32) -> Result<()> {
    let api = Api::<Deployment>::namespaced(space.client(), "dapr-system");
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch(part, &PatchParams::default(), &change).await?;
    space
        .until(&format!("{replicas} of {part}"), MINUTES, async || {
            let status = api.get(part).await?.status.unwrap_or_default();
            let seen = (status.replicas.unwrap_or_default(), status.available_replicas.unwrap_or_default());
            Ok(if seen == (replicas, replicas) { Ok(()) } else { Err(seen) })
        })
        .await
}

/// A Job that is tried again and again, as its pods fail while Dapr has no control plane.
fn tried_again(work: Value) -> Value {
    let work = annotated(annotated(work, "dapr.io/enabled", "true"), "dapr.io/app-id", "work");
    with(work, |job| job["spec"]["backoffLimit"] = json!(6))
}

/// `ends`: the phases in which a pod may end without that part.
async fn ends_and_then_completes(part: &str, ends: &[&str], strategy: Strategy, work: Value) -> Result<()> {
    Setup::new(part)
        .curfew()
        .under(strategy)
        .dapr()
        .run(async |space| {
            scale(space, part, 0).await?;
            let result = async {
                space.apply(tried_again(work)).await?;
                space
                    .until("a first pod has ended", MINUTES, async || {
                        let pods = space.pods_of("work").await?;
                        let phase =
                            |pod: &k8s_openapi::api::core::v1::Pod| pod.status.as_ref()?.phase.clone();
                        let end = pods.iter().filter_map(phase).find(|phase| ends.contains(&phase.as_str()));
                        Ok(end.ok_or(pods.iter().map(containers).collect::<Vec<_>>()))
                    })
                    .await
            }
            .await;
            scale(space, part, 1).await?;
            let end = result?;
            space.job_completes("work").await?;
            let tried = space.pods_of("work").await?.len();
            ensure!((end == "Failed") == (tried >= 2), "the first of {tried} pods was {end}, without {part}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_its_sentry_no_pod_hangs_and_the_job_completes() -> Result<()> {
    ends_and_then_completes("dapr-sentry", &["Failed"], Strategy::Await, job("work", "true")).await
}

#[tokio::test]
async fn without_its_operator_no_pod_hangs_and_the_job_completes() -> Result<()> {
    ends_and_then_completes(
        "dapr-operator",
        &["Failed", "Succeeded"],
        Strategy::Reaper,
        vendor_job("work", "true"),
    )
    .await
}
