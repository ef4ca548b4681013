//! Google's Cloud SQL Auth Proxy 2.27, written into the Job as its users write it.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Space, Strategy, beside, containers, job, real_image, vendor_job};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::jobs::all_ended;

/// The proxy, which takes no connection to a database that is not there, but answers all that a sidecar is asked.
fn proxy(quit: bool) -> Value {
    let mut args = vec![
        "--health-check",
        "--enable-builtin-metrics=false",
        "--token=none",
        "--lazy-refresh",
        // Or it would ask Google for the kind of the database, and end.
        "--port=5432",
        "made-up:region:instance",
    ];
    if quit {
        args.insert(0, "--quitquitquit");
    }
    json!({"name": "cloud-sql-proxy", "image": real_image("cloud-sql-connectors/cloud-sql-proxy", "2.27.0"),
           "args": args, "securityContext": {"runAsNonRoot": true}})
}

#[tokio::test]
async fn without_curfew_a_job_beside_the_cloud_sql_proxy_never_completes() -> Result<()> {
    Setup::new("cloud sql never")
        .run(async |space| {
            space.apply(beside(job("work", "true"), proxy(true))).await?;
            space.hangs("work").await
        })
        .await
}

/// The kubelet writes the pod's /etc/hosts anew before it starts each container, and this proxy ends where it finds no
/// `localhost` in it at that moment: its pod fails, with or without Curfew.
pub(crate) const RETRIES: u32 = 4;

/// Sees that no pod of the Job failed for another reason.
pub(crate) async fn failed_for_want_of_localhost(space: &Space) -> Result<()> {
    for pod in space.pods_of("work").await? {
        if pod.status.as_ref().is_none_or(|status| status.phase.as_deref() != Some("Failed")) {
            continue;
        }
        let log = space.log(&pod.name_any(), "cloud-sql-proxy").await?;
        ensure!(
            log.contains("lookup localhost"),
            "failed, and not as expected: {:?}\n{log}",
            containers(&pod)
        );
    }
    Ok(())
}

async fn completes(strategy: Strategy, work: Value, applied: &str) -> Result<()> {
    Setup::new("cloud sql completes")
        .curfew()
        .under(strategy)
        .run(async |space| {
            let mut work = beside(work, proxy(true));
            work["spec"]["backoffLimit"] = json!(RETRIES);
            space.apply(work).await?;
            space.job_completes("work").await?;
            failed_for_want_of_localhost(space).await?;
            let ended = all_ended(space, "work").await?;
            ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(0)), "{ended:?}");
            // A native one is ended by SIGTERM, which it answers with 143; nobody asks.
            let expected = if applied == "native" { 143 } else { 0 };
            ensure!(
                ended.iter().any(|c| c.name == "cloud-sql-proxy" && c.exit == Some(expected)),
                "{ended:?}"
            );
            space.applied("work", applied).await
        })
        .await
}

/// What every client of the proxy does first; it is refused until the proxy is up.
const CONNECT: &str = "nc -w 5 127.0.0.1 5432 </dev/null";

#[tokio::test]
async fn a_job_beside_the_cloud_sql_proxy_completes() -> Result<()> {
    completes(Strategy::Auto, job("work", CONNECT), "native").await
}

#[tokio::test]
async fn a_job_beside_the_cloud_sql_proxy_completes_awaited() -> Result<()> {
    completes(Strategy::Await, job("work", CONNECT), "await").await
}

#[tokio::test]
async fn a_vendors_image_beside_the_cloud_sql_proxy_completes_by_the_reaper() -> Result<()> {
    completes(Strategy::Reaper, vendor_job("work", "true"), "reaper").await
}

#[tokio::test]
async fn a_cloud_sql_proxy_that_cannot_be_told_to_quit_becomes_native_all_the_same() -> Result<()> {
    Setup::new("cloud sql without quit")
        .curfew()
        .run(async |space| {
            space.apply(beside(job("work", CONNECT), proxy(false))).await?;
            space.job_completes("work").await?;
            space.applied("work", "native").await
        })
        .await
}
