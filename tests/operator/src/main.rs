//! A double of k6-operator v1.6, flaws included: it takes the real TestRun and creates the real Jobs, so that tests see
//! what its users see where the operator itself can't be had.

use std::time::{Duration, Instant};

use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::sleep,
};
use tracing_subscriber::EnvFilter;

use crate::{
    cluster::Cluster,
    decide::Again,
    queue::Queue,
    reconcile::{Images, Operator},
};

mod arguments;
mod cluster;
mod decide;
mod initializer;
mod pod;
mod probe;
mod queue;
mod reconcile;
mod runner;
mod script;
mod spec;
mod stage;
mod starter;
mod watch;

/// A double of k6-operator v1.6 for tests on a cluster.
#[derive(Parser)]
struct Settings {
    /// Image of initializers and runners whose TestRun names none
    #[arg(long, env, default_value = "grafana/k6:latest")]
    default_runner_image: String,
    /// Image of starters whose TestRun names none
    #[arg(long, env, default_value = "ghcr.io/grafana/k6-operator:latest-starter")]
    default_starter_image: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false).init();
    let client = kube::Client::try_default().await?;
    let images = Images { runner: settings.default_runner_image, starter: settings.default_starter_image };
    tracing::info!("watching TestRuns; images where none is named: {}, {}", images.runner, images.starter);

    let (sender, mut changed) = mpsc::unbounded_channel();
    let watches = tokio::spawn(watch::run(client.clone(), sender));
    let operator = Operator { cluster: Cluster { client }, images };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut queue = Queue::default();
    let work = async {
        // One TestRun at a time, as the original: one that blocks blocks all.
        loop {
            while let Ok(key) = changed.try_recv() {
                queue.add(key, Instant::now());
            }
            if let Some(key) = queue.pop(Instant::now()) {
                let again = operator.reconcile(&key).await.unwrap_or_else(|error| {
                    tracing::error!("{}/{}: {error:#}", key.namespace, key.name);
                    Again::BackOff
                });
                queue.again(key, again, Instant::now());
                continue;
            }
            let idle = queue.next().map_or(Duration::from_secs(3600), |at| at.duration_since(Instant::now()));
            tokio::select! {
                found = changed.recv() => match found {
                    Some(key) => queue.add(key, Instant::now()),
                    None => return,
                },
                () = sleep(idle) => {}
            }
        }
    };
    tokio::select! {
        () = work => watches.await?,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
