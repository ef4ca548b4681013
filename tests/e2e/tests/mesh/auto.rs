//! No strategy named: the proxy is made native, by Curfew or by a mesh that can, and nobody has to tell it to go.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Container, Injector, Setup, Shape, Space, WORK, containers, ended, job, pod_of, with};
use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{
    jobs::{CONNECT, all_ended},
    proxies::{LIFE, ends_beside_another_proxy},
    testruns::apply,
};

/// A test for each order of webhooks and each shape of proxy.
macro_rules! in_every_order {
    ($test:ident: $($name:ident = $injector:ident, $shape:ident;)+) => {
        mod $test {
            use curfew_e2e::{Injector, Shape};
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::$test(Injector::$injector, Shape::$shape).await
                }
            )+
        }
    };
    ($($test:ident),+ $(,)?) => {$(
        in_every_order! { $test:
            before_never_linkerd = BeforeNever, Linkerd;
            before_never_istio = BeforeNever, Istio;
            before_ifneeded_linkerd = BeforeIfNeeded, Linkerd;
            before_ifneeded_istio = BeforeIfNeeded, Istio;
            after_never_linkerd = AfterNever, Linkerd;
            after_never_istio = AfterNever, Istio;
            after_ifneeded_linkerd = AfterIfNeeded, Linkerd;
            after_ifneeded_istio = AfterIfNeeded, Istio;
        }
    )+};
}

in_every_order!(jobs_and_testruns_end, jobs_and_testruns_end_beside_a_mesh_that_can);

async fn jobs_and_testruns_end(injector: Injector, shape: Shape) -> Result<()> {
    everything_ends(Setup::new(&format!("auto {}", injector.name())), injector, shape, "native").await
}

/// A mesh that is there before Curfew cannot be told any more what it could.
async fn jobs_and_testruns_end_beside_a_mesh_that_can(injector: Injector, shape: Shape) -> Result<()> {
    let strategy = match injector {
        Injector::BeforeNever | Injector::BeforeIfNeeded => "native",
        Injector::AfterNever | Injector::AfterIfNeeded => "switch",
    };
    let setup = Setup::new(&format!("auto can {}", injector.name())).option("native-capable", "true");
    everything_ends(setup, injector, shape, strategy).await
}

async fn everything_ends(setup: Setup, injector: Injector, shape: Shape, strategy: &str) -> Result<()> {
    setup
        .curfew()
        .injected(shape, injector)
        .option("ready-after", "3s")
        .run(async |space| {
            space.apply(job("work", CONNECT)).await?;
            space.apply(job("fails", "exit 42")).await?;
            apply(space, "basic").await?;
            space.job_completes("work").await?;
            fails_with_its_own_code(space, "fails").await?;
            space.stage("basic", "finished").await?;
            space.ended_by(shape, &[strategy]).await?;
            // All others are Complete, those of the TestRun among them.
            space.delete::<Job>("fails", &DeleteParams::background()).await?;
            space.is_gone(job("fails", "")).await?;
            space.all_complete(4).await
        })
        .await
}

async fn fails_with_its_own_code(space: &Space, job: &str) -> Result<()> {
    space.job_fails(job).await?;
    let pod = space.pod_until(job, "has ended", |pod| ended(pod, "main").is_some()).await?;
    let main = ended(&pod, "main");
    ensure!(main.is_some_and(|main| main.exit == Some(42)), "{:?}", containers(&pod));
    Ok(())
}

/// A Job whose proxy is killed for its memory while the main runs: exit 137.
async fn killed(
    title: &str,
    change: impl FnOnce(&mut Value),
    ends: impl AsyncFnOnce(&Space) -> Result<()>,
) -> Result<()> {
    Setup::new(title)
        .curfew()
        .mesh(Shape::Linkerd)
        .option("oom-after", LIFE)
        .run(async |space| {
            space.apply(with(job("work", WORK), change)).await?;
            // Before it ends: the pod of a Job that is given up goes.
            space.pod_until("work", "is there", |_| true).await?;
            space.meshed(Shape::Linkerd).await?;
            ends(space).await
        })
        .await
}

/// The proxy of a Job's pod that has ended.
async fn proxy(space: &Space) -> Result<Container> {
    let all = all_ended(space, "work").await?;
    all.into_iter().find(|container| container.name == "linkerd-proxy").context("no proxy")
}

#[tokio::test]
async fn a_native_proxy_that_exits_137_fails_no_job_under_never() -> Result<()> {
    killed(
        "auto 137 never",
        |_| {},
        async |space| {
            ends_beside_another_proxy(space).await?;
            let proxy = proxy(space).await?;
            ensure!(proxy.last_reason == "OOMKilled" && proxy.restarts == 1, "{proxy:?}");
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn under_on_failure_a_native_proxys_restart_is_one_of_the_jobs_tries() -> Result<()> {
    let on_failure = |tries: i32| {
        move |job: &mut Value| {
            job["spec"]["backoffLimit"] = json!(tries);
            pod_of(job)["restartPolicy"] = json!("OnFailure");
        }
    };
    // One try and one restart: the Job is given up while its main still works.
    killed("auto 137 given up", on_failure(1), async |space| {
        space.job_fails("work").await?;
        let status = space.api::<Job>().get("work").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let why = conditions.iter().find(|is| is.type_ == "Failed").and_then(|is| is.reason.as_deref());
        ensure!(why == Some("BackoffLimitExceeded"), "{conditions:?}");
        Ok(())
    })
    .await?;
    killed("auto 137 goes on", on_failure(2), async |space| {
        ends_beside_another_proxy(space).await?;
        let proxy = proxy(space).await?;
        ensure!(proxy.last_reason == "OOMKilled" && proxy.restarts == 1, "{proxy:?}");
        Ok(())
    })
    .await
}
