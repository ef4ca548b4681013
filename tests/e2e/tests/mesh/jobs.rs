//! Jobs end when their work does, with its result.

use std::time::Duration;

use anyhow::{Result, ensure};
use curfew_e2e::{
    Container, Injector, Setup, Shape, Space, Strategy, containers, ended, job, pod_of, status_of, with,
};
use futures_util::future::try_join_all;
use kube::ResourceExt;
use serde_json::json;

under_each_strategy!(
    a_job_completes_when_its_work_is_done,
    a_failing_main_fails_its_job_with_its_own_code,
    the_first_connection_waits_for_a_proxy_that_takes_its_time,
    a_pod_deleted_while_it_waits_goes_as_fast_as_an_unmeshed_one,
    two_mains_end_the_pod_when_both_are_done,
);

/// Opens a connection to the API server, through the proxy as everything is; fails where it is refused.
pub(crate) const CONNECT: &str = "nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null";

/// The containers of a Job's one pod, all of which have ended.
pub(crate) async fn all_ended(space: &Space, job: &str) -> Result<Vec<Container>> {
    let pod = space
        .pod_until(job, "has ended whole", |pod| {
            let all = containers(pod);
            !all.is_empty() && all.iter().all(|c| c.state == "terminated")
        })
        .await?;
    Ok(containers(&pod))
}

async fn a_job_completes_when_its_work_is_done(strategy: Strategy) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("job completes")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                for container in all_ended(space, "work").await? {
                    ensure!(container.exit == Some(0), "{container:?}");
                }
                let pod = space.pods_of("work").await?.remove(0);
                let status = status_of(&pod).unwrap_or_default();
                ensure!(status["strategy"] == pod.labels()["curfew.dev/applied"], "{status}");
                space.meshed(shape).await
            })
            .await?;
    }
    Ok(())
}

async fn a_failing_main_fails_its_job_with_its_own_code(strategy: Strategy) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("failing main")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .run(async |space| {
                space.apply(job("work", "exit 42")).await?;
                space.job_fails("work").await?;
                let ended = all_ended(space, "work").await?;
                ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(42)), "{ended:?}");
                ensure!(ended.iter().any(|c| c.name == shape.proxy() && c.exit == Some(0)), "{ended:?}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_wrapper_does_not_mind_when_the_injector_comes_and_whether_it_is_asked_again() -> Result<()> {
    let each = Injector::ALL.into_iter().flat_map(|injector| Shape::ALL.map(|shape| (injector, shape)));
    try_join_all(each.map(|(injector, shape)| async move {
        Setup::new(&format!("injector {}", injector.name()))
            .curfew()
            .under(Strategy::Await)
            .injected(shape, injector)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                space.meshed(shape).await
            })
            .await
    }))
    .await?;
    Ok(())
}

async fn the_first_connection_waits_for_a_proxy_that_takes_its_time(strategy: Strategy) -> Result<()> {
    let each = ["0s", "5s", "25s"].into_iter().flat_map(|wait| Shape::ALL.map(|shape| (wait, shape)));
    try_join_all(each.map(|(wait, shape)| async move {
        Setup::new(&format!("ready after {wait}"))
            .curfew()
            .under(strategy)
            .mesh(shape)
            .without_hold()
            .option("ready-after", wait)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await
            })
            .await
    }))
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_never_gets_ready_is_the_verdict_of_the_wrapper() -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("never ready")
            .curfew()
            .under(Strategy::Await)
            .mesh(shape)
            .without_hold()
            .option("ready-after", "never")
            .annotation("curfew.dev/ready-timeout", "3s")
            .run(async |space| {
                space.apply(job("work", "true")).await?;
                space.job_fails("work").await?;
                let done = |pod: &_| ended(pod, "main").is_some();
                let pod = space.pod_until("work", "has a main that ended", done).await?;
                let main = ended(&pod, "main").filter(|main| main.exit == Some(69));
                ensure!(main.as_ref().is_some_and(|main| main.message.contains("not ready")), "{main:?}");
                let described = space.described(&pod.name_any())?;
                let message = main.map(|main| main.message).unwrap_or_default();
                ensure!(described.contains(message.trim()), "{described}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_namespaces_annotation_is_a_default_and_the_pod_beats_it() -> Result<()> {
    Setup::new("defaults")
        .curfew()
        .mesh(Shape::Linkerd)
        .annotation("curfew.dev/strategy", "off")
        .run(async |space| {
            let own = with(job("own", "true"), |job| {
                job["spec"]["template"]["metadata"] =
                    json!({"annotations": {"curfew.dev/strategy": "await"}});
            });
            space.apply(own).await?;
            space.apply(job("default", "true")).await?;
            space.job_completes("own").await?;
            let pod = space.pod_until("default", "is there", |_| true).await?;
            ensure!(status_of(&pod).is_none(), "off left a status: {:?}", pod.metadata.annotations);
            Ok(())
        })
        .await
}

async fn a_pod_deleted_while_it_waits_goes_as_fast_as_an_unmeshed_one(strategy: Strategy) -> Result<()> {
    Setup::new("deleted in the wait")
        .curfew()
        .under(strategy)
        .mesh(Shape::Linkerd)
        .without_hold()
        .option("ready-after", "never")
        .run(async |space| {
            let plain = with(job("plain", "trap 'exit 0' TERM; sleep 600 & wait"), |job| {
                let inject = json!({"linkerd.io/inject": "disabled", "curfew.dev/strategy": "off"});
                job["spec"]["template"]["metadata"] = json!({"annotations": inject});
            });
            space.apply(plain).await?;
            let waiting = with(job("waiting", "true"), |job| {
                pod_of(job)["terminationGracePeriodSeconds"] = json!(120);
            });
            space.apply(waiting).await?;
            let plain = space.time_to_go("plain").await?;
            let waiting = space.time_to_go("waiting").await?;
            // The kubelet looks once a second, and the proxy has a container of its own to end, a native one after all
            // others; how long each takes is the machine's. One that ignored the signal would take its grace, 120 s.
            let most = 3 * plain + Duration::from_secs(30);
            ensure!(waiting < most, "the waiting pod took {waiting:?}, the unmeshed one {plain:?}");
            Ok(())
        })
        .await
}

async fn two_mains_end_the_pod_when_both_are_done(strategy: Strategy) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("two mains")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .run(async |space| {
                let two = with(job("work", CONNECT), |job| {
                    let mut second = pod_of(job)["containers"][0].clone();
                    second["name"] = json!("second");
                    // It outlives the first, and needs the proxy after that one's end.
                    second["command"] = json!(["sh", "-c", format!("sleep 6; {CONNECT}")]);
                    if let Some(list) = pod_of(job)["containers"].as_array_mut() {
                        list.push(second);
                    }
                });
                space.apply(two).await?;
                space.job_completes("work").await?;
                space.meshed(shape).await
            })
            .await?;
    }
    Ok(())
}
