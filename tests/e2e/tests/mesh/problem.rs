//! What happens without Curfew: the reason for all the rest.

use std::time::Duration;

use anyhow::Result;
use curfew_e2e::{Setup, Shape, ended, job};

use crate::testruns::apply;

/// How long "never" is looked at. Meshed or not, a Job is Complete within 5 s of its main's end.
const NEVER: Duration = Duration::from_secs(20);

#[tokio::test]
async fn without_curfew_a_plain_job_never_completes_linkerd() -> Result<()> {
    never_completes(Shape::Linkerd).await
}

#[tokio::test]
async fn without_curfew_a_plain_job_never_completes_istio() -> Result<()> {
    never_completes(Shape::Istio).await
}

async fn never_completes(shape: Shape) -> Result<()> {
    Setup::new("never completes")
        .mesh(shape)
        .run(async |space| {
            space.apply(job("work", "true")).await?;
            space.hangs("work").await
        })
        .await
}

#[tokio::test]
async fn without_curfew_a_testrun_never_gets_past_its_first_stage() -> Result<()> {
    Setup::new("first stage")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "initialization").await?;
            let done = |pod: &_| ended(pod, "k6").is_some_and(|k6| k6.exit == Some(0));
            space.pod_until("basic-initializer", "has read the script", done).await?;
            space
                .holds("the TestRun is in its first stage", NEVER, async || {
                    Ok(space.stage_of("basic").await? == "initialization")
                })
                .await
        })
        .await
}
