//! A few tests for a Kubernetes of another age than the one all others run on. `make e2e-older` brings it up.
#![allow(clippy::panic_in_result_fn, reason = "assertions are what tests are for")]

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Space, job};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt, api::ListParams};

/// Sees that this is the Kubernetes it was meant to be.
async fn is_as_old_as_it_should(space: &Space) -> Result<()> {
    let wanted =
        std::env::var("KUBERNETES_VERSION").context("KUBERNETES_VERSION says of which age it should be")?;
    let server = space.client().apiserver_version().await?.git_version;
    ensure!(server == wanted, "the API server is {server}, not {wanted}");
    let nodes = Api::<Node>::all(space.client()).list(&ListParams::default()).await?.items;
    ensure!(!nodes.is_empty(), "there is no node");
    for node in nodes {
        let name = node.name_any();
        let info =
            node.status.and_then(|status| status.node_info).context("a node that tells nothing of itself")?;
        ensure!(
            info.kubelet_version == wanted,
            "the kubelet of {name} is {}, not {wanted}",
            info.kubelet_version
        );
    }
    Ok(())
}

async fn a_job_and_a_testrun_end_with_native_proxies(shape: Shape) -> Result<()> {
    Setup::new("older")
        .curfew()
        .mesh(shape)
        .option("ready-after", "3s")
        .run(async |space| {
            is_as_old_as_it_should(space).await?;
            space
                .apply(job("work", "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null"))
                .await?;
            space.sample("scripts").await?;
            space.sample("basic").await?;
            space.stage("basic", "finished").await?;
            space.all_complete(4).await?;
            space.meshed(shape).await
        })
        .await
}

#[tokio::test]
async fn a_job_and_a_testrun_end_with_native_proxies_under_linkerd() -> Result<()> {
    a_job_and_a_testrun_end_with_native_proxies(Shape::Linkerd).await
}

#[tokio::test]
async fn a_job_and_a_testrun_end_with_native_proxies_under_istio() -> Result<()> {
    a_job_and_a_testrun_end_with_native_proxies(Shape::Istio).await
}
