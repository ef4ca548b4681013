//! Curfew's reaper: a container that tells the sidecars to go once the watch has said that every main is done. No command
//! has to be known, and no main has to live to tell.

mod of_a_job;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    Container, Setup, Shape, Space, Strategy, WORK, beside, containers, ended, installed::is_ready, job,
    pod_of, real_image, vendor, vendor_job, with,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    jobs::{CONNECT, all_ended},
    real::cloud_sql::{RETRIES, failed_for_want_of_localhost},
    restarts::twice,
    sidecars::by_hand,
};

/// Runs a test in a namespace of each mesh, with the reaper.
async fn under_each_mesh(title: &str, test: impl AsyncFn(&Space, Shape) -> Result<()>) -> Result<()> {
    for shape in Shape::ALL {
        let setup = Setup::new(title).curfew().under(Strategy::Reaper).mesh(shape);
        setup.run(async |space| test(space, shape).await).await?;
    }
    Ok(())
}

/// How this container ended.
fn end_of<'a>(ended: &'a [Container], name: &str) -> Result<&'a Container> {
    let found = ended.iter().find(|container| container.name == name && container.state == "terminated");
    found.with_context(|| format!("{name} has not ended: {ended:?}"))
}

/// Sees that what is no main ended with 0, and without a restart.
fn helpers_ended_well(ended: &[Container], shape: Shape) -> Result<()> {
    for name in [shape.proxy(), "curfew-reaper"] {
        let helper = end_of(ended, name)?;
        ensure!(helper.exit == Some(0) && helper.restarts == 0, "{helper:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_as_artillery_runs_it_completes_as_often_as_it_should() -> Result<()> {
    under_each_mesh("artillery", async |space, shape| {
        let work = with(vendor_job("work", CONNECT), |job| {
            job["spec"]["completions"] = json!(4);
            job["spec"]["parallelism"] = json!(2);
        });
        space.apply(work).await?;
        space.job_completes("work").await?;
        let pods = space.pods_of("work").await?;
        ensure!(pods.len() == 4, "{} pods for 4 completions", pods.len());
        for pod in pods {
            helpers_ended_well(&containers(&pod), shape)?;
        }
        space.meshed(shape).await
    })
    .await
}

#[tokio::test]
async fn a_vendors_image_with_neither_command_nor_arguments_completes_under_auto() -> Result<()> {
    // With a sidecar that has no native form, auto comes to the reaper by itself.
    Setup::new("vendor image")
        .curfew()
        .run(async |space| {
            let plain = with(vendor_job("work", ""), |job| {
                if let Some(main) = pod_of(job)["containers"][0].as_object_mut() {
                    main.remove("args");
                }
            });
            space.apply(with(by_hand(plain), without_native)).await?;
            space.job_completes("work").await?;
            space.applied("work", "reaper").await
        })
        .await
}

/// The sidecar of [`by_hand`] in a row that does not allow its conversion.
fn without_native(job: &mut Value) {
    let row = &mut job["spec"]["template"]["metadata"]["annotations"]["curfew.dev/sidecars"];
    *row = json!(row.as_str().unwrap_or_default().replace("  native: {}\n", ""));
}

#[tokio::test]
async fn of_two_mains_each_keeps_its_own_code_and_the_proxy_stays_for_the_second() -> Result<()> {
    under_each_mesh("two exits", async |space, shape| {
        let two = beside(vendor_job("work", "exit 3"), vendor("second", &format!("sleep 6; {CONNECT}")));
        space.apply(two).await?;
        space.job_fails("work").await?;
        let ended = all_ended(space, "work").await?;
        ensure!(end_of(&ended, "main")?.exit == Some(3), "{ended:?}");
        ensure!(end_of(&ended, "second")?.exit == Some(0), "{ended:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn under_on_failure_a_second_attempt_finds_its_proxy() -> Result<()> {
    under_each_mesh("reaped second attempt", async |space, shape| {
        space.apply(twice(&format!("{CONNECT}; exit 1"), CONNECT)).await?;
        space.job_completes("work").await?;
        let ended = all_ended(space, "work").await?;
        ensure!(end_of(&ended, "main")?.restarts == 1, "{ended:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn a_main_with_a_restart_policy_of_its_own_runs_again_in_a_pod_that_never_does() -> Result<()> {
    under_each_mesh("own restart policy", async |space, shape| {
        let work = with(twice(&format!("{CONNECT}; exit 1"), CONNECT), |job| {
            let pod = pod_of(job);
            pod["restartPolicy"] = json!("Never");
            pod["containers"][0]["restartPolicy"] = json!("OnFailure");
        });
        space.apply(work).await?;
        space.job_completes("work").await?;
        let ended = all_ended(space, "work").await?;
        ensure!(end_of(&ended, "main")?.restarts == 1, "{ended:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn a_main_that_is_out_of_memory_ends_its_pod() -> Result<()> {
    under_each_mesh("out of memory", async |space, shape| {
        let greedy = "x=0123456789abcdef; while :; do x=$x$x; done";
        let work = with(vendor_job("work", greedy), |job| {
            pod_of(job)["containers"][0]["resources"] = json!({"limits": {"memory": "32Mi"}});
        });
        space.apply(work).await?;
        space.job_fails("work").await?;
        let ended = all_ended(space, "work").await?;
        let main = end_of(&ended, "main")?;
        ensure!(main.reason == "OOMKilled" && main.exit == Some(137), "{main:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn a_main_that_cannot_start_ends_its_pod() -> Result<()> {
    under_each_mesh("cannot start", async |space, shape| {
        let work = with(job("work", ""), |job| {
            pod_of(job)["containers"][0]["command"] = json!(["/there/is/no/such/program"]);
        });
        space.apply(work).await?;
        space.job_fails("work").await?;
        let ended = all_ended(space, "work").await?;
        ensure!(end_of(&ended, "main")?.reason.contains("Start"), "{ended:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn of_a_main_with_a_command_and_one_without_the_first_waits_and_both_end() -> Result<()> {
    Setup::new("mixed")
        .curfew()
        .run(async |space| {
            // Refused until the sidecar is up; nothing can hold up the other.
            let known = by_hand(job("work", "nc -w 5 127.0.0.1 9901 </dev/null"));
            let known = with(with(known, without_native), |job| {
                pod_of(job)["containers"][1]["args"] = json!(["--shape=envoy", "--ready-after=3s"]);
            });
            space.apply(beside(known, vendor("second", "exit 0"))).await?;
            space.job_completes("work").await?;
            space.applied("work", "reaper").await?;
            let ended = all_ended(space, "work").await?;
            for name in ["main", "second", "helper", "curfew-reaper"] {
                ensure!(end_of(&ended, name)?.exit == Some(0), "{ended:?}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_sidecar_that_is_native_already_is_not_told_to_go() -> Result<()> {
    under_each_mesh("beside a native one", async |space, shape| {
        let config = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9902}}}";
        let native = json!({"name": "envoy", "image": curfew_e2e::image("test-mesh"), "restartPolicy": "Always",
            "command": ["/usr/local/bin/envoy", "--config-yaml", config]});
        space.apply(with(vendor_job("work", "sleep 3"), |job| pod_of(job)["initContainers"] = json!([native]))).await?;
        space.job_completes("work").await?;
        let ended = all_ended(space, "work").await?;
        ensure!(end_of(&ended, "envoy")?.restarts == 0, "the kubelet started it again: {ended:?}");
        helpers_ended_well(&ended, shape)
    })
    .await
}

#[tokio::test]
async fn several_classic_sidecars_are_all_told_to_go() -> Result<()> {
    under_each_mesh("several", async |space, shape| {
        let sql = json!({"name": "cloud-sql-proxy", "image": real_image("cloud-sql-connectors/cloud-sql-proxy", "2.27.0"),
            "args": ["--quitquitquit", "--health-check", "--enable-builtin-metrics=false", "--token=none",
                     "--lazy-refresh", "--port=5432", "made-up:region:instance"]});
        let work = with(beside(by_hand(vendor_job("work", CONNECT)), sql), |job| {
            job["spec"]["backoffLimit"] = json!(RETRIES);
        });
        space.apply(work).await?;
        space.job_completes("work").await?;
        failed_for_want_of_localhost(space).await?;
        let ended = all_ended(space, "work").await?;
        for name in ["helper", "cloud-sql-proxy"] {
            ensure!(end_of(&ended, name)?.exit == Some(0), "{ended:?}");
        }
        helpers_ended_well(&ended, shape)
    })
    .await
}

/// Longer than the time between two probes of any mesh's proxy.
const AT_WORK: Duration = Duration::from_secs(16);

#[tokio::test]
async fn a_pod_is_ready_as_long_as_its_main_runs() -> Result<()> {
    under_each_mesh("stays ready", async |space, _| {
        space.apply(vendor_job("work", WORK)).await?;
        let pod = space.pod_until("work", "is ready", is_ready).await?.name_any();
        let pods = space.api::<Pod>();
        let look = async || Ok(is_ready(&pods.get(&pod).await?));
        space.holds("the pod is ready", AT_WORK, look).await?;
        space.tell_to_end("work").await?;
        let left = |pod: &Pod| ended(pod, "main").is_some() || !is_ready(pod);
        space.pod_until("work", "is ready to its main's end", left).await?;
        let pod = pods.get(&pod).await?;
        ensure!(ended(&pod, "main").is_some(), "not ready while its main runs: {:?}", containers(&pod));
        space.job_completes("work").await
    })
    .await
}
