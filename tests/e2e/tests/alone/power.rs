//! The power of the whole node fails, and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use curfew_e2e::{
    Setup, Shape, Space, annotated, installed::settled, is_running, job, machine::lose_power, with,
};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use serde_json::{Value, json};

/// The Job controller tries again after a minute at most, and what it makes then has its work before it.
const PATIENCE: Duration = Duration::from_secs(300);
const STRATEGIES: [&str; 3] = ["native", "await", "reaper"];

/// At work for as long as it takes until all are, and made again when its pod fails.
fn work(strategy: &str) -> Value {
    let again = with(job(strategy, "sleep 45"), |job| job["spec"]["backoffLimit"] = json!(6));
    annotated(again, "curfew.dev/strategy", strategy)
}

async fn failures(space: &Space, name: &str) -> Result<i32> {
    let jobs: Api<Job> = space.api();
    Ok(jobs.get(name).await?.status.and_then(|status| status.failed).unwrap_or_default())
}

#[tokio::test]
async fn after_a_power_loss_curfew_comes_up_by_itself_and_no_job_hangs() -> Result<()> {
    // Only the cluster that is this machine's own: run.sh leaves it out on another.
    Setup::new("power loss")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            for strategy in STRATEGIES {
                space.apply(work(strategy)).await?;
            }
            for strategy in STRATEGIES {
                space.pod_until(strategy, "is at work", |pod| is_running(pod, "main")).await?;
            }
            lose_power()?;
            // Asked for before Curfew, or the mesh, can be there again.
            space.apply(job("later", "true")).await?;
            for name in STRATEGIES.into_iter().chain(["later"]) {
                space
                    .until(&format!("{name} is Complete"), PATIENCE, async || {
                        let status = space.api::<Job>().get(name).await?.status.unwrap_or_default();
                        Ok(if status.succeeded == Some(1) { Ok(()) } else { Err(status) })
                    })
                    .await?;
            }
            for strategy in STRATEGIES {
                ensure!(failures(space, strategy).await? > 0, "{strategy}: nothing was lost");
            }
            for strategy in STRATEGIES {
                space.applied(strategy, strategy).await?;
            }
            space.applied("later", "native").await?;
            settled(space, 2).await
        })
        .await
}
