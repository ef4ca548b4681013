//! Vault's agent as its injector writes it: the last container, a shell that unpacks the configuration and starts the agent,
//! which listens on loopback and can be told to quit where `agent-enable-quit` asked for that.

use anyhow::{Result, ensure};
use curfew_e2e::{
    Setup, Strategy, WORK, annotated, beside, is_running, job, real_image, status_of, vendor_job,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::jobs::all_ended;

/// `{"listener":[{"type":"tcp","address":"127.0.0.1:8200","tls_disable":true,"agent_api":{"enable_quit":true}}]}`
const QUITS: &str = "eyJsaXN0ZW5lciI6W3sidHlwZSI6InRjcCIsImFkZHJlc3MiOiIxMjcuMC4wLjE6ODIwMCIsInRsc19kaXNhYmxlIjp0cnVlLCJhZ2VudF9hcGkiOnsiZW5hYmxlX3F1aXQiOnRydWV9fV19";
/// The same without `agent_api`.
const DOES_NOT: &str =
    "eyJsaXN0ZW5lciI6W3sidHlwZSI6InRjcCIsImFkZHJlc3MiOiIxMjcuMC4wLjE6ODIwMCIsInRsc19kaXNhYmxlIjp0cnVlfV19";

/// The Job as the injector leaves it.
fn injected(job: Value, quits: bool) -> Value {
    let start = "echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json";
    let config = if quits { QUITS } else { DOES_NOT };
    let agent = json!({"name": "vault-agent", "image": real_image("hashicorp/vault", "1.21.4"),
        "command": ["/bin/sh", "-ec"], "args": [start], "env": [{"name": "VAULT_CONFIG", "value": config}],
        "lifecycle": {}, "securityContext": {"runAsUser": 100, "runAsGroup": 1000, "runAsNonRoot": true}});
    let job = annotated(beside(job, agent), "vault.hashicorp.com/agent-inject", "true");
    let job = annotated(job, "vault.hashicorp.com/agent-inject-status", "injected");
    if quits { annotated(job, "vault.hashicorp.com/agent-enable-quit", "true") } else { job }
}

#[tokio::test]
async fn without_curfew_a_job_beside_vaults_agent_never_completes() -> Result<()> {
    Setup::new("vault never")
        .run(async |space| {
            space.apply(injected(job("work", "true"), true)).await?;
            space.hangs("work").await
        })
        .await
}

async fn completes(strategy: Strategy, work: Value, applied: &str) -> Result<()> {
    Setup::new("vault completes")
        .curfew()
        .under(strategy)
        .run(async |space| {
            space.apply(injected(work, true)).await?;
            space.job_completes("work").await?;
            let ended = all_ended(space, "work").await?;
            ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(0)), "{ended:?}");
            // A native one as well: its shell passes no signal on, but a preStop hook tells the agent to quit.
            ensure!(ended.iter().any(|c| c.name == "vault-agent" && c.exit == Some(0)), "{ended:?}");
            space.applied("work", applied).await
        })
        .await
}

#[tokio::test]
async fn a_job_beside_vaults_agent_completes_awaited() -> Result<()> {
    completes(Strategy::Await, job("work", "true"), "await").await
}

#[tokio::test]
async fn a_vendors_image_beside_vaults_agent_completes_by_the_reaper() -> Result<()> {
    completes(Strategy::Reaper, vendor_job("work", "true"), "reaper").await
}

#[tokio::test]
async fn a_job_beside_vaults_agent_completes() -> Result<()> {
    completes(Strategy::Auto, job("work", "true"), "native").await
}

#[tokio::test]
async fn an_agent_whose_endpoint_is_closed_is_left_and_that_is_said() -> Result<()> {
    Setup::new("vault without quit")
        .curfew()
        .under(Strategy::Reaper)
        .run(async |space| {
            space.apply(injected(job("work", WORK), false)).await?;
            let pod = space.pod_until("work", "is at work", |pod| is_running(pod, "main")).await?;
            let told = status_of(&pod).unwrap_or_default()["reason"].to_string();
            let why = "vault.hashicorp.com/agent-enable-quit is not set";
            ensure!(told.contains(why), "{told}");
            space.said_once(&pod.name_any(), "LeftAlone", why).await?;
            space.tell_to_end("work").await?;
            space.hangs("work").await?;
            space.said_once(&pod.name_any(), "LeftAlone", why).await?;
            space.applied("work", "leave").await
        })
        .await
}
