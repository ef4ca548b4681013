//! `curfew rescue`, the program itself, on pods that hang because nobody had Curfew in their namespace.

mod rights;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Space, beside, containers, ended, image, job, pod_of, with};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::program::{Answer, curfew};

/// A sidecar that only the row in [`ROWS`] knows, and nobody can tell to end; it goes when it is killed.
const HELPER: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
/// As the webhook's configuration has rows.
const ROWS: &str = "catalogue: {sidecars: [{name: helper, containers: [helper]}]}";

/// Runs `curfew rescue` in the namespace, knowing `helper` too.
fn rescue(space: &Space, arguments: &[&str]) -> Result<Answer> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.yaml", space.name()));
    std::fs::write(&file, ROWS)?;
    let (image, name) = (image("curfew-noop"), file.display().to_string());
    // Kubelets of slow machines take their time, for fifty pods above all.
    let patience = ["--older-than", "0s", "--timeout", "3m"];
    let fixed = ["rescue", "--namespace", space.name(), "--image", &image, "--config", &name];
    let answer = curfew(&[&fixed, &patience[..], arguments].concat(), None)?;
    std::fs::remove_file(&file)?;
    ensure!(!answer.err.contains("curfew rescue:"), "{}", answer.err);
    Ok(answer)
}

/// The Job's pod, once its main is done and all that holds it is ready to be asked.
async fn hanging(space: &Space, job: &str) -> Result<Pod> {
    space.pod_until(job, "hangs", |pod| hangs(pod, &["main"])).await
}

/// Whether the main is done, and all but these are ready.
fn hangs(pod: &Pod, but: &[&str]) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let up = statuses.into_iter().all(|container| but.contains(&&*container.name) || container.ready);
    ended(pod, "main").is_some() && up
}

/// How often a container of the Job's pod was started again.
async fn restarts(space: &Space, job: &str, container: &str) -> Result<i32> {
    let pod = space.pods_of(job).await?.remove(0);
    let found = containers(&pod).into_iter().find(|found| found.name == container);
    Ok(found.with_context(|| format!("no {container}"))?.restarts)
}

/// The Job with a container `helper`, and no longer to live than it takes to be killed.
fn helped(job: Value) -> Value {
    let helper = json!({"name": "helper", "image": image("test-busybox"), "command": ["sh", "-c", HELPER]});
    beside(job, helper)
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() -> Result<()> {
    Setup::new("rescue dry run")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            let before = hanging(space, "work").await?;
            let answer = rescue(space, &[])?;
            ensure!(answer.code == Some(1), "{:?}: {}", answer.code, answer.out);
            let name = before.metadata.name.clone().unwrap_or_default();
            let told = answer.out.lines().any(|line| line.contains(&name) && line.contains("linkerd-proxy"));
            ensure!(told && answer.out.contains("Nothing was changed"), "{}", answer.out);
            let after = space.pods_of("work").await?.remove(0);
            ensure!(after.spec == before.spec, "its spec changed");
            ensure!(after.metadata.annotations == before.metadata.annotations, "its annotations changed");
            ensure!(ended(&after, "linkerd-proxy").is_none(), "its proxy ended");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_proxy_whose_endpoint_is_open_is_told_to_go() -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("rescue open")
            .mesh(shape)
            .annotation("config.linkerd.io/proxy-admin-shutdown", "enabled")
            .run(async |space| {
                space.apply(job("work", "true")).await?;
                hanging(space, "work").await?;
                let answer = rescue(space, &["--yes"])?;
                ensure!(answer.code == Some(0) && answer.out.contains("answered 200"), "{}", answer.out);
                ensure!(!answer.out.contains("swapped"), "{}", answer.out);
                space.job_completes("work").await?;
                ensure!(restarts(space, "work", shape.proxy()).await? == 0, "it was started again");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_whose_endpoint_is_closed_gets_another_image() -> Result<()> {
    Setup::new("rescue closed")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            hanging(space, "work").await?;
            let answer = rescue(space, &["--yes", "--output", "json"])?;
            ensure!(answer.code == Some(0), "{}", answer.out);
            let told: Value = serde_json::from_str(&answer.out)?;
            let outcome = &told[0]["outcome"];
            let did = outcome["did"].to_string();
            ensure!(did.contains("answered 404") && did.contains("image swapped"), "{told}");
            ensure!(outcome["ended"] == "Succeeded", "{told}");
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn a_failed_main_fails_its_job_as_it_would_have() -> Result<()> {
    Setup::new("rescue failed")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "exit 3")).await?;
            hanging(space, "work").await?;
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0) && answer.out.contains(": Failed after"), "{}", answer.out);
            space.job_fails("work").await
        })
        .await
}

#[tokio::test]
async fn a_sidecar_without_an_endpoint_that_only_a_row_knows_gets_another_image() -> Result<()> {
    Setup::new("rescue row")
        .run(async |space| {
            space.apply(helped(job("work", "true"))).await?;
            hanging(space, "work").await?;
            let answer = rescue(space, &[])?;
            ensure!(answer.out.contains("no shutdown endpoint known"), "{}", answer.out);
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0) && answer.out.contains("helper: image swapped"), "{}", answer.out);
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn a_reaper_whose_image_does_not_come_gets_another_one() -> Result<()> {
    Setup::new("rescue reaper")
        .mesh(Shape::Linkerd)
        .annotation("config.linkerd.io/proxy-admin-shutdown", "enabled")
        .run(async |space| {
            let reaper = json!({"name": "curfew-reaper", "image": "registry.invalid/curfew-reaper:none",
                                "command": ["/curfew-reaper", "reap"]});
            space.apply(beside(job("work", "true"), reaper)).await?;
            // All others can be asked: the pod is Pending all the same.
            let held = |pod: &Pod| {
                let reaper = containers(pod).into_iter().find(|found| found.name == "curfew-reaper");
                let waits =
                    reaper.is_some_and(|it| ["ErrImagePull", "ImagePullBackOff"].contains(&&*it.reason));
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                waits && phase == Some("Pending") && hangs(pod, &["main", "curfew-reaper"])
            };
            space.pod_until("work", "has done its work, and its reaper none", held).await?;
            let said = rescue(space, &[])?.out;
            ensure!(said.contains("curfew-reaper: does not run, as it is in"), "{said}");
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0) && answer.out.contains("answered 200"), "{}", answer.out);
            ensure!(answer.out.contains("curfew-reaper: image swapped"), "{}", answer.out);
            space.job_completes("work").await?;
            for container in ["curfew-reaper", "linkerd-proxy"] {
                ensure!(restarts(space, "work", container).await? == 0, "{container} was started again");
            }
            Ok(())
        })
        .await
}

/// A Job whose pod starts its containers again, and how often.
fn patient(limit: u32) -> Value {
    with(job("work", "true"), |job| {
        job["spec"]["backoffLimit"] = json!(limit);
        pod_of(job)["restartPolicy"] = json!("OnFailure");
    })
}

#[tokio::test]
async fn under_on_failure_a_swapped_image_is_a_restart_which_is_said_before() -> Result<()> {
    Setup::new("rescue restart")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(patient(6)).await?;
            hanging(space, "work").await?;
            let said = rescue(space, &[])?.out;
            ensure!(said.contains("counts as a restart: the Job's backoffLimit of 6 takes it"), "{said}");
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0), "{}", answer.out);
            space.job_completes("work").await?;
            ensure!(restarts(space, "work", "linkerd-proxy").await? == 1, "no restart was counted");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn that_a_job_takes_no_restart_is_said_before_an_image_is_swapped() -> Result<()> {
    Setup::new("rescue no restart")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(patient(0)).await?;
            hanging(space, "work").await?;
            let said = rescue(space, &[])?.out;
            ensure!(
                said.contains("counts as a restart: the Job's backoffLimit is 0, so it may fail"),
                "{said}"
            );
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0), "{}", answer.out);
            // It fails if its controller sees the restart before it sees the pod's end.
            space.job_ends("work").await.map(drop)
        })
        .await
}

#[tokio::test]
async fn a_pod_at_work_is_left_alone() -> Result<()> {
    Setup::new("rescue at work")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "sleep 600")).await?;
            let works = |pod: &Pod| containers(pod).iter().filter(|c| c.state == "running").count() == 2;
            let pod = space.pod_until("work", "works", works).await?;
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0) && answer.out == "nothing hangs\n", "{}", answer.out);
            let after = space.pods_of("work").await?.remove(0);
            ensure!(after.spec == pod.spec && works(&after), "it was touched");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn fifty_pods_are_let_go_at_once() -> Result<()> {
    const MANY: usize = 50;
    Setup::new("rescue fifty")
        .run(async |space| {
            let many = with(helped(job("work", "true")), |job| {
                job["spec"]["completions"] = json!(MANY);
                job["spec"]["parallelism"] = json!(MANY);
            });
            space.apply(many).await?;
            // Pods start one after another.
            let patience = Duration::from_secs(300);
            space
                .until("fifty pods hang", patience, async || {
                    let pods = space.api::<Pod>().list(&ListParams::default()).await?.items;
                    let hang = pods.iter().filter(|pod| ended(pod, "main").is_some()).count();
                    Ok(if hang == MANY { Ok(()) } else { Err(hang) })
                })
                .await?;
            let answer = rescue(space, &["--yes"])?;
            ensure!(answer.code == Some(0), "{}", answer.out);
            let lines: Vec<_> =
                answer.out.lines().filter(|line| line.contains(": Succeeded after")).collect();
            let ended = lines.len();
            ensure!(ended == MANY, "{ended} of {MANY}: {}", answer.out);
            // Each is told as it ends: 1/50, 2/50 and so on, up to 50/50.
            let counted =
                |(line, done): (&&str, usize)| line.starts_with(&format!("{done}/{MANY} {}/", space.name()));
            ensure!(lines.iter().zip(1..).all(counted), "not counted: {}", answer.out);
            space.job_completes("work").await
        })
        .await
}
