//! The meshes' helpers that run as lifecycle hooks of the proxy's container.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::{duration, http::Ask};

/// linkerd-await.
#[derive(Debug, Args)]
pub(crate) struct LinkerdArgs {
    /// The proxy's admin port
    #[arg(long, default_value_t = 4191)]
    port: u16,
    /// When to give up
    #[arg(long, value_parser = duration::parse)]
    timeout: Option<Duration>,
}

/// `pilot-agent wait`.
#[derive(Debug, Args)]
pub(crate) struct IstioArgs {
    /// When to give up
    #[arg(long = "timeoutSeconds", default_value_t = 60)]
    timeout_seconds: u64,
    /// How long to wait between two tries
    #[arg(long = "periodMillis", default_value_t = 500)]
    period_millis: u64,
}

/// `pilot-agent request`.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// The agent's port
    #[arg(long, default_value_t = 15000)]
    debug_port: u16,
    /// The method
    method: String,
    /// The path, without its slash
    path: String,
}

/// What linkerd-await ends with when its time is up.
const UNAVAILABLE: u8 = 69;

/// Waits for Linkerd's proxy.
pub(crate) async fn linkerd(args: LinkerdArgs) -> anyhow::Result<ExitCode> {
    let patience = args.timeout.unwrap_or(Duration::MAX);
    if ready(&format!("127.0.0.1:{}", args.port), "/ready", patience, Duration::from_secs(1)).await {
        return Ok(ExitCode::SUCCESS);
    }
    tracing::error!("linkerd-proxy failed to become ready within {patience:?}");
    Ok(ExitCode::from(UNAVAILABLE))
}

/// Waits for Istio's proxy.
pub(crate) async fn istio(args: IstioArgs) -> anyhow::Result<ExitCode> {
    let patience = Duration::from_secs(args.timeout_seconds);
    let period = Duration::from_millis(args.period_millis);
    if ready("127.0.0.1:15021", "/healthz/ready", patience, period).await {
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::bail!("timeout waiting for Envoy proxy to become ready within {patience:?}")
}

async fn ready(address: &str, path: &str, patience: Duration, period: Duration) -> bool {
    let begin = Instant::now();
    loop {
        let answer = Ask::new("GET", path).tcp(address, Duration::from_secs(5)).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return true;
        }
        if begin.elapsed() + period > patience {
            return false;
        }
        sleep(period).await;
    }
}

/// Sends one request to the agent.
pub(crate) async fn request(args: RequestArgs) -> anyhow::Result<ExitCode> {
    let (address, path) = (format!("127.0.0.1:{}", args.debug_port), format!("/{}", args.path));
    let answer = Ask::new(&args.method, &path).tcp(&address, Duration::from_secs(10)).await?;
    tracing::info!(status = answer.status, body = answer.body, "{address}{path} answered");
    Ok(if answer.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
