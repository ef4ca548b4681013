//! Pods that are none of Curfew's business, and those that are by their own label.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Strategy, image, job, status_of, with};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

under_each_strategy!(a_labelled_pod_in_an_unlabelled_namespace_ends);

#[tokio::test]
async fn a_pod_that_never_ends_is_untouched() -> Result<()> {
    Setup::new("always")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let main = json!({"name": "main", "image": image("test-busybox"), "command": ["sleep", "600"]});
            space
                .apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"},
                              "spec": {"containers": [main.clone()]}}))
                .await?;
            let pod = space.api::<Pod>().get("server").await?;
            ensure!(status_of(&pod).is_none(), "{:?}", pod.metadata.annotations);
            let command = pod.spec.and_then(|spec| spec.containers.into_iter().find(|c| c.name == "main"));
            ensure!(json!(command.and_then(|c| c.command)) == main["command"], "its command changed");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_unlabelled_namespace_is_untouched() -> Result<()> {
    Setup::new("unlabelled")
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            space.job_completes("work").await?;
            let pod = space.pods_of("work").await?.remove(0);
            ensure!(status_of(&pod).is_none(), "{:?}", pod.metadata.annotations);
            Ok(())
        })
        .await
}

async fn a_labelled_pod_in_an_unlabelled_namespace_ends(strategy: Strategy) -> Result<()> {
    Setup::new("pod label")
        .under(strategy)
        .mesh(Shape::Istio)
        .run(async |space| {
            let labelled = with(job("work", "true"), |job| {
                job["spec"]["template"]["metadata"] = json!({"labels": {"curfew.dev/inject": "enabled"}});
            });
            space.apply(labelled).await?;
            space.job_completes("work").await?;
            space.meshed(Shape::Istio).await
        })
        .await
}

#[tokio::test]
async fn a_pod_may_opt_out_in_a_labelled_namespace() -> Result<()> {
    Setup::new("opted out")
        .curfew()
        .run(async |space| {
            let out = with(job("work", "true"), |job| {
                job["spec"]["template"]["metadata"] = json!({"labels": {"curfew.dev/inject": "disabled"}});
            });
            space.apply(out).await?;
            space.job_completes("work").await?;
            let pod = space.pods_of("work").await?.remove(0);
            ensure!(status_of(&pod).is_none(), "{:?}", pod.metadata.annotations);
            Ok(())
        })
        .await
}
