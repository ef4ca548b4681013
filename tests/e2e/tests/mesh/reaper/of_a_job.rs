//! What a Job asks of its pods beside that they end: a reaper is not in its way.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use curfew_e2e::{Space, WORK, is_running, pod_of, vendor_job, with};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::under_each_mesh;

/// The Job's deadline.
const DEADLINE: Duration = Duration::from_secs(8);
/// What the busiest machine takes to end a pod.
const ENDED: Duration = Duration::from_secs(80);

/// Why a Job is Failed.
async fn failed_for(space: &Space) -> Result<String> {
    space.job_fails("work").await?;
    let status = space.api::<Job>().get("work").await?.status.unwrap_or_default();
    let failed = status.conditions.unwrap_or_default().into_iter().find(|is| is.type_ == "Failed");
    Ok(failed.and_then(|is| is.reason).unwrap_or_default())
}

#[tokio::test]
async fn a_job_over_its_deadline_fails_and_its_pod_goes() -> Result<()> {
    under_each_mesh("deadline", async |space, _| {
        let endless = with(vendor_job("work", "trap 'exit 0' TERM; while :; do sleep 1; done"), |job| {
            job["spec"]["activeDeadlineSeconds"] = json!(DEADLINE.as_secs());
            // Whatever ignores SIGTERM keeps the pod that long.
            pod_of(job)["terminationGracePeriodSeconds"] = json!(600);
        });
        // The Job is not Failed before its pods have ended.
        let started = Instant::now();
        space.apply(endless).await?;
        let why = failed_for(space).await?;
        ensure!(why == "DeadlineExceeded", "{why}");
        space.until_none::<Pod>("job-name=work").await?;
        let took = started.elapsed();
        ensure!(took < DEADLINE + ENDED, "the pod was gone after {:.1} s", took.as_secs_f64());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_job_suspended_at_work_completes_when_it_is_resumed() -> Result<()> {
    under_each_mesh("suspended", async |space, shape| {
        // The first pod is taken away at work.
        space.apply(vendor_job("work", &format!("trap 'exit 1' TERM; {WORK}"))).await?;
        space.pod_until("work", "is at work", |pod| is_running(pod, "main")).await?;
        suspend(space, true).await?;
        space.until_none::<Pod>("job-name=work").await?;
        suspend(space, false).await?;
        space.ends_when_told("work").await?;
        space.meshed(shape).await
    })
    .await
}

async fn suspend(space: &Space, suspend: bool) -> Result<()> {
    let change = Patch::Merge(json!({"spec": {"suspend": suspend}}));
    space.api::<Job>().patch("work", &PatchParams::default(), &change).await?;
    Ok(())
}

#[tokio::test]
async fn a_pod_failure_policy_sees_the_mains_own_code() -> Result<()> {
    under_each_mesh("failure policy", async |space, _| {
        let work = with(vendor_job("work", "exit 42"), |job| {
            job["spec"]["backoffLimit"] = json!(6);
            // Of any container: neither proxy nor reaper may have such a code.
            job["spec"]["podFailurePolicy"] = json!({"rules": [
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
                {"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [42]}}]});
        });
        space.apply(work).await?;
        let why = failed_for(space).await?;
        ensure!(why == "PodFailurePolicy", "{why}");
        ensure!(space.pods_of("work").await?.len() == 1, "it was tried again");
        Ok(())
    })
    .await
}
