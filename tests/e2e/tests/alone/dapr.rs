//! Dapr's control plane goes away and comes back. Without it `daprd` never listens, and its own liveness probe ends it with
//! 1: the pod fails, whatever becomes of its main, and hangs no more than it would without Curfew.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Space, Strategy, annotated, containers, job, vendor_job, with};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::outage::MINUTES;

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

async fn fails_and_then_completes(part: &str, strategy: Strategy, work: Value) -> Result<()> {
    Setup::new(part)
        .curfew()
        .under(strategy)
        .dapr()
        .run(async |space| {
            scale(space, part, 0).await?;
            let result = async {
                space.apply(tried_again(work)).await?;
                space
                    .until("a first pod has failed", MINUTES, async || {
                        let pods = space.pods_of("work").await?;
                        let phase =
                            |pod: &k8s_openapi::api::core::v1::Pod| pod.status.as_ref()?.phase.clone();
                        let failed = pods.iter().find(|pod| phase(pod).as_deref() == Some("Failed"));
                        Ok(failed.map(|_| ()).ok_or(pods.iter().map(containers).collect::<Vec<_>>()))
                    })
                    .await
            }
            .await;
            scale(space, part, 1).await?;
            result?;
            space.job_completes("work").await?;
            let tried = space.pods_of("work").await?.len();
            ensure!(tried >= 2, "it completed at once, without {part}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_its_sentry_pods_fail_and_the_job_completes_when_it_is_back() -> Result<()> {
    fails_and_then_completes("dapr-sentry", Strategy::Await, job("work", "true")).await
}

#[tokio::test]
async fn without_its_operator_pods_fail_and_the_job_completes_when_it_is_back() -> Result<()> {
    fails_and_then_completes("dapr-operator", Strategy::Reaper, vendor_job("work", "true")).await
}
