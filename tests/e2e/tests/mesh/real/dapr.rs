//! Dapr 1.14: `[main, daprd]`, which never holds its main up, never ends by itself, and has no native form.

use anyhow::{Result, ensure};
use curfew_e2e::{
    Setup, Strategy, WORK, annotated, containers, ended, is_running, job, status_of, testrun, vendor_job,
    with,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{jobs::all_ended, restarts::twice};

/// The Job, asking for Dapr.
pub(crate) fn with_dapr(job: Value) -> Value {
    annotated(annotated(job, "dapr.io/enabled", "true"), "dapr.io/app-id", "work")
}

/// A TestRun all of whose pods ask for Dapr.
fn testrun_with_dapr() -> Value {
    let part = |name: &str| json!({"metadata": {"annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": format!("k6-{name}")}}});
    with(testrun("basic"), |testrun| {
        testrun["spec"] = json!({"parallelism": 2, "script": {"configMap": {"name": "k6-scripts", "file": "test.js"}},
            "initializer": part("initializer"), "starter": part("starter"), "runner": part("runner")});
    })
}

#[tokio::test]
async fn without_curfew_a_job_beside_dapr_never_completes() -> Result<()> {
    Setup::new("dapr never")
        .dapr()
        .run(async |space| {
            space.apply(with_dapr(job("work", "true"))).await?;
            space.hangs("work").await
        })
        .await
}

#[tokio::test]
async fn without_curfew_a_testrun_beside_dapr_never_gets_past_its_initializer() -> Result<()> {
    Setup::new("dapr initializer")
        .dapr()
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(testrun_with_dapr()).await?;
            space.stage("basic", "initialization").await?;
            let done = |pod: &_| ended(pod, "k6").is_some_and(|k6| k6.exit == Some(0));
            space.pod_until("basic-initializer", "has read the script", done).await?;
            space.stage_stays("basic", "initialization").await
        })
        .await
}

/// Runs a Job beside Dapr under this strategy, and sees that all of it ended with 0, and how.
async fn completes(strategy: Strategy, work: Value, applied: &str) -> Result<()> {
    Setup::new("dapr completes")
        .curfew()
        .under(strategy)
        .dapr()
        .run(async |space| {
            space.apply(with_dapr(work)).await?;
            space.job_completes("work").await?;
            let ended = all_ended(space, "work").await?;
            ensure!(ended.iter().all(|c| c.exit == Some(0) && c.restarts == 0), "{ended:?}");
            ensure!(ended.iter().any(|c| c.name == "daprd"), "Dapr injected nothing: {ended:?}");
            space.applied("work", applied).await
        })
        .await
}

/// Asks its sidecar, as the app of somebody who uses Dapr would.
const ASK: &str = "nc -w 5 127.0.0.1 3500 </dev/null";

#[tokio::test]
async fn a_job_beside_dapr_finds_it_ready_and_completes() -> Result<()> {
    completes(Strategy::Auto, job("work", ASK), "await").await
}

#[tokio::test]
async fn a_vendors_image_beside_dapr_completes() -> Result<()> {
    // Nothing holds it up, and it may end before Dapr listens: it is told to go once it does.
    completes(Strategy::Auto, vendor_job("work", "true"), "reaper").await
}

#[tokio::test]
async fn a_job_beside_dapr_completes_by_the_reaper_where_its_command_is_known() -> Result<()> {
    completes(Strategy::Reaper, job("work", "sleep 3"), "reaper").await
}

#[tokio::test]
async fn a_failing_main_beside_dapr_fails_its_job_with_its_own_code() -> Result<()> {
    for strategy in [Strategy::Await, Strategy::Reaper] {
        Setup::new("dapr fails")
            .curfew()
            .under(strategy)
            .dapr()
            .run(async |space| {
                space.apply(with_dapr(job("work", "exit 42"))).await?;
                space.job_fails("work").await?;
                let ended = all_ended(space, "work").await?;
                ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(42)), "{ended:?}");
                ensure!(ended.iter().any(|c| c.name == "daprd" && c.exit == Some(0)), "{ended:?}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

async fn testrun_finishes(strategy: Strategy) -> Result<()> {
    Setup::new("dapr testrun")
        .curfew()
        .under(strategy)
        .dapr()
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(testrun_with_dapr()).await?;
            space.stage("basic", "finished").await?;
            // Initializer, two runners, starter.
            space.all_complete(4).await?;
            for pod in space.pods("app=k6").await? {
                ensure!(ended(&pod, "daprd").is_some_and(|c| c.exit == Some(0)), "{:?}", containers(&pod));
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_testrun_beside_dapr_finishes() -> Result<()> {
    testrun_finishes(Strategy::Auto).await
}

#[tokio::test]
async fn a_testrun_beside_dapr_finishes_by_the_reaper() -> Result<()> {
    testrun_finishes(Strategy::Reaper).await
}

#[tokio::test]
async fn a_second_attempt_finds_dapr_still_there() -> Result<()> {
    for strategy in [Strategy::Await, Strategy::Reaper] {
        Setup::new("dapr second attempt")
            .curfew()
            .under(strategy)
            .dapr()
            .run(async |space| {
                // Under the reaper nothing holds the first attempt up.
                let first = format!("until {ASK}; do sleep 1; done; exit 1");
                space.apply(with_dapr(twice(&first, ASK))).await?;
                space.job_completes("work").await?;
                let ended = all_ended(space, "work").await?;
                let restarts = |name: &str| ended.iter().find(|c| c.name == name).map(|c| c.restarts);
                ensure!(restarts("main") == Some(1) && restarts("daprd") == Some(0), "{ended:?}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// A Job that Curfew leaves as it is, and says why in these words.
async fn left(annotation: [&str; 2], why: &str) -> Result<()> {
    Setup::new("dapr left")
        .curfew()
        .dapr()
        .run(async |space| {
            space
                .apply(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
                "stringData": {"token": "not told to anybody"}}))
                .await?;
            let [key, value] = annotation;
            space.apply(annotated(with_dapr(job("work", WORK)), key, value)).await?;
            let pod = space.pod_until("work", "is at work", |pod| is_running(pod, "main")).await?;
            space.said_once(&pod.name_any(), "LeftAlone", why).await?;
            space.tell_to_end("work").await?;
            space.hangs("work").await?;
            let status = status_of(&pod).unwrap_or_default();
            ensure!(status["strategy"] == "leave" && status.to_string().contains(why), "{status}");
            space.said_once(&pod.name_any(), "LeftAlone", why).await
        })
        .await
}

#[tokio::test]
async fn dapr_that_wants_a_token_is_left_and_that_is_said() -> Result<()> {
    left(["dapr.io/api-token-secret", "token"], "token").await
}

#[tokio::test]
async fn dapr_on_a_unix_socket_is_left_and_that_is_said() -> Result<()> {
    left(["dapr.io/unix-domain-socket-path", "/tmp/dapr"], "socket").await
}

#[tokio::test]
async fn without_an_app_id_it_is_dapr_that_refuses_the_pod() -> Result<()> {
    Setup::new("dapr app id")
        .curfew()
        .dapr()
        .run(async |space| {
            space.apply(annotated(job("work", "true"), "dapr.io/enabled", "true")).await?;
            space.refused("work", &["dapr.io/app-id"]).await
        })
        .await
}
