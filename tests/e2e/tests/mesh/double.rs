//! The instruments themselves: the operator double and the test mesh fail where the originals do, so that what passes
//! beside them passes for a reason. What is expected here was measured with the real ones.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Space, ended, testrun, with};
use serde_json::json;

use crate::testruns::apply;

/// A TestRun whose initializer the mesh leaves out, so that it gets to the next thing that hangs.
pub(crate) async fn past_its_initializer(space: &Space) -> Result<()> {
    space.sample("scripts").await?;
    let out = json!({"linkerd.io/inject": "disabled", "sidecar.istio.io/inject": "false"});
    let one = with(testrun("one"), |testrun| {
        testrun["spec"] = json!({"parallelism": 1, "script": {"configMap": {"name": "k6-scripts", "file": "test.js"}},
            "initializer": {"metadata": {"annotations": out}}});
    });
    space.apply(one).await
}

#[tokio::test]
async fn a_script_that_is_none_and_too_many_runners_are_errors() -> Result<()> {
    Setup::new("double errors")
        .run(async |space| {
            apply(space, "broken").await?;
            apply(space, "too-parallel").await?;
            space.stage("broken", "error").await?;
            space.stage("too-parallel", "error").await
        })
        .await
}

#[tokio::test]
async fn nobody_asks_how_the_starter_ended() -> Result<()> {
    Setup::new("double starter")
        .run(async |space| {
            apply(space, "starter-fails").await?;
            space.stage("starter-fails", "started").await?;
            space.job_fails("starter-fails-starter").await?;
            space.stage_stays("starter-fails", "started").await
        })
        .await
}

#[tokio::test]
pub(crate) async fn past_its_initializer_a_meshed_testrun_hangs_when_its_runners_are_done() -> Result<()> {
    Setup::new("double runners")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            past_its_initializer(space).await?;
            space.stage("one", "started").await?;
            let done = |pod: &_| ended(pod, "k6").is_some_and(|k6| k6.exit == Some(0));
            space.pod_until("one-1", "has run its script", done).await?;
            space.stage_stays("one", "started").await
        })
        .await
}

#[tokio::test]
async fn a_mesh_that_demands_certificates_refuses_the_operator() -> Result<()> {
    Setup::new("double strict")
        .mesh(Shape::Istio)
        .option("strict", "true")
        .run(async |space| {
            past_its_initializer(space).await?;
            space.stage("one", "created").await?;
            let runs = |pod: &_| curfew_e2e::containers(pod).iter().all(|c| c.state != "waiting");
            let runner = space.pod_until("one-1", "runs", runs).await?;
            ensure!(ended(&runner, "k6").is_none(), "the runner ended before it was told to start");
            space.stage_stays("one", "created").await
        })
        .await
}
