//! `curfew explain`, the program itself: on what hangs, where it hangs.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use curfew_e2e::{PATIENCE_FOR_A_STAGE, Setup, Shape, Space, ended, is_running, job, testrun, with};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::{
    double::past_its_initializer,
    program::{Answer, curfew},
    testruns::apply,
};

fn explain(space: &Space, arguments: &[&str]) -> Result<Answer> {
    curfew(&[&["explain", "--namespace", space.name()], arguments].concat(), None)
}

/// Waits until it hangs, as `curfew explain` says with all of these words.
async fn hangs(space: &Space, object: &str, words: &[&str]) -> Result<()> {
    space
        .until(&format!("{object} hangs"), PATIENCE_FOR_A_STAGE, async || {
            let answer = explain(space, &[object])?;
            let told = answer.code == Some(1) && words.iter().all(|word| answer.out.contains(word));
            Ok(if told { Ok(()) } else { Err((answer.code, answer.out, answer.err)) })
        })
        .await
}

#[tokio::test]
async fn a_job_that_hangs_is_told_with_what_holds_it_and_what_lets_it_go() -> Result<()> {
    Setup::new("explain job")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            let mend = format!("curfew rescue -n {} work-", space.name());
            let label = format!("neither it nor namespace {} has the label", space.name());
            hangs(space, "job/work", &["hangs: 1 of its 1 pods do", "linkerd-proxy runs on", &mend, &label])
                .await
        })
        .await
}

#[tokio::test]
async fn a_pod_that_curfew_was_asked_about_tells_what_it_came_to() -> Result<()> {
    Setup::new("explain pod")
        .curfew()
        .mesh(Shape::Istio)
        .run(async |space| {
            space.apply(job("work", "sleep 600")).await?;
            let pod = space.pod_until("work", "works", |pod| is_running(pod, "main")).await?;
            let name = format!("pod/{}", pod.metadata.name.unwrap_or_default());
            let answer = explain(space, &[&name, "--output", "json"])?;
            ensure!(answer.code == Some(0), "{:?}: {}", answer.code, answer.out);
            let lines = answer.json()?["objects"][0]["lines"].to_string();
            for word in ["does not hang", "native: ", "istio-proxy (native sidecar istio): running"] {
                ensure!(lines.contains(word), "{word}: {lines}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_not_applied_yet_is_told_with_the_mesh_that_will_inject() -> Result<()> {
    for (labelled, words) in [
        (false, vec!["Curfew is not asked", "kubectl label namespace", "native: "]),
        (true, vec!["native: "]),
    ] {
        let setup = Setup::new("explain file").mesh(Shape::Linkerd);
        let setup = if labelled { setup.curfew() } else { setup };
        setup
            .run(async |space| {
                let file =
                    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-job.json", space.name()));
                std::fs::write(&file, job("work", "true").to_string())?;
                let answer = explain(space, &["-f", &file.display().to_string()]);
                std::fs::remove_file(&file)?;
                let answer = answer?;
                ensure!(answer.code == Some(0), "{:?}: {}{}", answer.code, answer.out, answer.err);
                for word in words {
                    ensure!(answer.out.contains(word), "{word}: {}", answer.out);
                }
                ensure!(space.pods("").await?.is_empty(), "a pod was made");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_testrun_whose_initializers_proxy_lives_is_stuck_in_initialization() -> Result<()> {
    Setup::new("explain initialization")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            apply(space, "basic").await?;
            hangs(
                space,
                "testrun/basic",
                &["initialization: hangs", "linkerd-proxy of basic-initializer-", "--overwrite namespace"],
            )
            .await
        })
        .await
}

#[tokio::test]
async fn a_testrun_whose_operator_is_refused_is_stuck_in_created() -> Result<()> {
    Setup::new("explain created")
        .mesh(Shape::Istio)
        .option("strict", "true")
        .run(async |space| {
            past_its_initializer(space).await?;
            // The proxy closes the connection, which the API server says in these words.
            let words =
                ["operator's GET of one-service-1:6565", "503 error trying to reach service", "STRICT"];
            hangs(space, "testrun/one", &[&["created: hangs"], &words[..]].concat()).await
        })
        .await
}

#[tokio::test]
async fn a_testrun_whose_runners_proxies_live_is_stuck_in_started() -> Result<()> {
    Setup::new("explain started")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            past_its_initializer(space).await?;
            hangs(space, "testrun/one", &["started: hangs", "linkerd-proxy of one-1-", "no runner is active"])
                .await
        })
        .await
}

/// One whose runner is out of the mesh and whose starter is not.
fn half_out() -> Value {
    with(testrun("one"), |testrun| {
        let out = json!({"traffic.sidecar.istio.io/excludeInboundPorts": "6565"});
        testrun["spec"] = json!({"parallelism": 1, "script": {"configMap": {"name": "k6-scripts", "file": "test.js"}},
            "runner": {"metadata": {"annotations": out}}});
    })
}

#[tokio::test]
async fn a_testrun_whose_starter_is_refused_is_stuck_although_the_starters_job_is_complete() -> Result<()> {
    Setup::new("explain starter")
        .curfew()
        .mesh(Shape::Istio)
        .option("strict", "true")
        .annotation("curfew.dev/k6-control-port", "mesh")
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(half_out()).await?;
            hangs(
                space,
                "testrun/one",
                &["started: hangs", "although its Job is Complete", "k6-control-port is `mesh`"],
            )
            .await
        })
        .await
}

#[tokio::test]
async fn a_starter_that_failed_and_an_initializer_that_said_no_json_are_told() -> Result<()> {
    Setup::new("explain failures")
        .run(async |space| {
            apply(space, "starter-fails").await?;
            apply(space, "broken").await?;
            apply(space, "too-parallel").await?;
            apply(space, "noisy").await?;
            hangs(space, "testrun/starter-fails", &["started: hangs", "ended with 127"]).await?;
            hangs(space, "testrun/broken", &["error: nothing leads out of it", "k6 exited"]).await?;
            hangs(space, "testrun/too-parallel", &["error", "fewer than parallelism"]).await?;
            hangs(
                space,
                "testrun/noisy",
                &["has Succeeded, but its log is not JSON alone", "hello from the script"],
            )
            .await
        })
        .await
}

#[tokio::test]
async fn a_testrun_that_runs_or_is_over_does_not_hang() -> Result<()> {
    Setup::new("explain finished")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "finished").await?;
            let done = |pod: &Pod| ended(pod, "k6").is_some();
            space.pod_until("basic-1", "is done", done).await?;
            let answer = explain(space, &["testrun/basic"])?;
            ensure!(
                answer.code == Some(0) && answer.out.contains("finished: it waits for nothing"),
                "{}",
                answer.out
            );
            let gone = explain(space, &["testrun/other"])?;
            ensure!(gone.code == Some(2) && gone.err.contains("other is not there"), "{}", gone.err);
            Ok(())
        })
        .await
}
