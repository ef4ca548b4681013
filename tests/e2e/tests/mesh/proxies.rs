//! Classic proxies that die while the main runs. What is expected is what Kubernetes makes of any container that does.

use anyhow::{Result, ensure};
use curfew_e2e::{
    Setup, Shape, Space, Strategy, WORK, containers, ended, installed::is_ready, job, pod_of, with,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::jobs::all_ended;

/// How long the first proxy of a pod lives: longer than a busy machine takes to start the main.
pub(crate) const LIFE: &str = "12s";

/// Ends the main of a Job once the proxy beside it is another than the first.
pub(crate) async fn ends_beside_another_proxy(space: &Space) -> Result<()> {
    let restarted =
        |pod: &Pod| containers(pod).iter().any(|c| c.name == Shape::Linkerd.proxy() && c.restarts > 0);
    let again = |pod: &Pod| restarted(pod) && is_ready(pod);
    space.pod_until("work", "has a proxy again", again).await?;
    space.ends_when_told("work").await
}

/// Never: nobody starts it again, the main runs to its end, and the pod is Failed because one of its containers is.
async fn under_never(option: &str, reason: &str) -> Result<()> {
    Setup::new(&format!("{option} never"))
        .curfew()
        .under(Strategy::Await)
        .mesh(Shape::Linkerd)
        .option(option, LIFE)
        .run(async |space| {
            space.apply(job("work", WORK)).await?;
            let alone = |pod: &Pod| ended(pod, Shape::Linkerd.proxy()).is_some();
            space.pod_until("work", "has lost its proxy", alone).await?;
            space.tell_to_end("work").await?;
            space.job_fails("work").await?;
            let ended = all_ended(space, "work").await?;
            ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(0)), "{ended:?}");
            ensure!(ended.iter().any(|c| c.name == "linkerd-proxy" && c.reason == reason), "{ended:?}");
            Ok(())
        })
        .await
}

/// OnFailure: the kubelet starts it again, and the new one is told to go as the old one would have been.
async fn under_on_failure(option: &str, reason: &str) -> Result<()> {
    Setup::new(&format!("{option} onfailure"))
        .curfew()
        .under(Strategy::Await)
        .mesh(Shape::Linkerd)
        .option(option, LIFE)
        .run(async |space| {
            let work = with(job("work", WORK), |job| {
                // A restarted proxy counts, as any container does.
                job["spec"]["backoffLimit"] = json!(6);
                pod_of(job)["restartPolicy"] = json!("OnFailure");
            });
            space.apply(work).await?;
            ends_beside_another_proxy(space).await?;
            let ended = all_ended(space, "work").await?;
            ensure!(ended.iter().any(|c| c.name == "main" && c.restarts == 0), "{ended:?}");
            ensure!(ended.iter().any(|c| c.name == "linkerd-proxy" && c.last_reason == reason), "{ended:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn under_never_a_crashed_proxy_fails_the_pod_after_the_main_has_ended() -> Result<()> {
    under_never("crash-after", "Error").await
}

#[tokio::test]
async fn under_never_a_proxy_out_of_memory_fails_the_pod_after_the_main_has_ended() -> Result<()> {
    under_never("oom-after", "OOMKilled").await
}

#[tokio::test]
async fn under_on_failure_a_crashed_proxy_comes_back_and_the_job_completes() -> Result<()> {
    under_on_failure("crash-after", "Error").await
}

#[tokio::test]
async fn under_on_failure_a_proxy_out_of_memory_comes_back_and_the_job_completes() -> Result<()> {
    under_on_failure("oom-after", "OOMKilled").await
}
