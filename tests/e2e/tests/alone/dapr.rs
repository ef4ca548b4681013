//! Dapr's control plane goes away and comes back. Without it `daprd` never listens, and its own liveness probe ends it: with
//! 1 ("Fatal error from runtime"), or now and then with 0 ("Daprd shutdown gracefully"), whichever of its parts hears the
//! signal first. The pod fails or is done, and never hangs.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Space, annotated, containers, ended, installed::MINUTES, job, vendor_job, with};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
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
fn tried_again(work: Value, strategy: &str) -> Value {
    let asked = [
        ("dapr.io/enabled", "true"),
        ("dapr.io/app-id", "work"),
        ("curfew.dev/strategy", strategy),
        // An attempt without Dapr is over as soon as `daprd` is gone, after 17 s: no reaper asks for it for a minute more.
        ("curfew.dev/ready-timeout", "20s"),
        ("curfew.dev/net", "off"),
    ];
    let work = asked.into_iter().fold(work, |work, (key, value)| annotated(work, key, value));
    with(work, |job| job["spec"]["backoffLimit"] = json!(6))
}

/// How the main and `daprd` of a Job's pod came out, of the first that has ended.
async fn first_end(space: &Space, job: &str) -> Result<[Option<i32>; 2]> {
    space
        .until(&format!("a first pod of {job} has ended"), MINUTES, async || {
            let pods = space.pods_of(job).await?;
            let has_ended = |pod: &&Pod| {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                matches!(phase, Some("Failed" | "Succeeded"))
            };
            let exit = |pod: &Pod, name: &str| ended(pod, name).and_then(|end| end.exit);
            let end = pods.iter().find(has_ended).map(|pod| [exit(pod, "main"), exit(pod, "daprd")]);
            Ok(end.ok_or(pods.iter().map(containers).collect::<Vec<_>>()))
        })
        .await
}

async fn ends_and_then_completes(part: &str) -> Result<()> {
    Setup::new(part)
        .curfew()
        .dapr()
        .run(async |space| {
            scale(space, part, 0).await?;
            let result = async {
                space.apply(tried_again(job("await", "true"), "await")).await?;
                space.apply(tried_again(vendor_job("reaper", "true"), "reaper")).await?;
                anyhow::Ok((first_end(space, "await").await?, first_end(space, "reaper").await?))
            }
            .await;
            scale(space, part, 1).await?;
            let ([awaited, of_awaited], [main, daprd]) = result?;
            for dapr in [of_awaited, daprd] {
                ensure!(matches!(dapr, Some(0 | 1)), "daprd ended with {dapr:?}");
            }
            // The one waits for a Dapr that never is; the other does not need it.
            ensure!((awaited, main) == (Some(69), Some(0)), "the mains ended with {awaited:?} and {main:?}");
            for job in ["await", "reaper"] {
                space.job_completes(job).await?;
            }
            let tried = space.pods_of("reaper").await?.len();
            ensure!(
                (daprd == Some(0)) == (tried == 1),
                "{tried} pods, the first of which ended with {daprd:?}"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn without_its_sentry_no_pod_hangs_and_the_jobs_complete() -> Result<()> {
    ends_and_then_completes("dapr-sentry").await
}

#[tokio::test]
async fn without_its_operator_no_pod_hangs_and_the_jobs_complete() -> Result<()> {
    ends_and_then_completes("dapr-operator").await
}
