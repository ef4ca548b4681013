//! The strategy `native`, where it is named: the proxy becomes a native sidecar, and nobody has to tell it to go.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Injector, Setup, Shape, Space, containers, ended, job};
use futures_util::future::try_join_all;

use crate::{
    jobs::CONNECT,
    testruns::{all_complete, apply},
};

fn setup(title: &str, shape: Shape, injector: Injector) -> Setup {
    Setup::new(title).curfew().injected(shape, injector).annotation("curfew.dev/strategy", "native")
}

/// The proxy is where native sidecars are, in every pod of a Job.
async fn converted(space: &Space, shape: Shape) -> Result<()> {
    let pods = space.pods("job-name").await?;
    ensure!(!pods.is_empty(), "no Job has a pod");
    for pod in pods {
        let spec = pod.spec.context("a pod without a spec")?;
        let proxy = spec.init_containers.iter().flatten().find(|container| container.name == shape.proxy());
        let policy = proxy.and_then(|proxy| proxy.restart_policy.as_deref());
        ensure!(policy == Some("Always"), "{:?}: {policy:?}", pod.metadata.name);
        let classic = spec.containers.iter().any(|container| container.name == shape.proxy());
        ensure!(!classic, "{:?} has a second proxy", pod.metadata.name);
    }
    Ok(())
}

#[tokio::test]
async fn the_main_finds_its_proxy_ready_and_the_job_ends_whatever_the_order() -> Result<()> {
    let each = Injector::ALL.into_iter().flat_map(|injector| Shape::ALL.map(|shape| (injector, shape)));
    try_join_all(each.map(|(injector, shape)| async move {
        setup(&format!("native {}", injector.name()), shape, injector)
            .option("ready-after", "3s")
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                converted(space, shape).await
            })
            .await
    }))
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_failing_main_fails_its_job_though_its_proxy_is_killed() -> Result<()> {
    for shape in Shape::ALL {
        setup("native failing", shape, Injector::AfterNever)
            .run(async |space| {
                space.apply(job("work", "exit 42")).await?;
                space.job_fails("work").await?;
                let pod = space.pod_until("work", "has ended", |pod| ended(pod, "main").is_some()).await?;
                ensure!(
                    ended(&pod, "main").is_some_and(|main| main.exit == Some(42)),
                    "{:?}",
                    containers(&pod)
                );
                converted(space, shape).await
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_never_gets_ready_is_the_verdict_of_the_gate() -> Result<()> {
    // Istio's has a startupProbe, which the kubelet waits for before it comes to the gate.
    setup("native never ready", Shape::Linkerd, Injector::AfterNever)
        .option("ready-after", "never")
        .annotation("curfew.dev/ready-timeout", "3s")
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            space.job_fails("work").await?;
            let gate = |pod: &_| ended(pod, "curfew-gate").is_some();
            let pod = space.pod_until("work", "has a gate that ended", gate).await?;
            let gate = ended(&pod, "curfew-gate").context("no gate")?;
            ensure!(gate.exit == Some(69) && gate.message.contains("not ready"), "{gate:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_testrun_finishes_with_native_proxies() -> Result<()> {
    for shape in Shape::ALL {
        setup("native testrun", shape, Injector::AfterNever)
            .run(async |space| {
                apply(space, "basic").await?;
                space.stage("basic", "finished").await?;
                all_complete(space).await?;
                converted(space, shape).await
            })
            .await?;
    }
    Ok(())
}
