//! The sidecar: a real Envoy, and around it the manners of the mesh's own proxy.

mod admin;
mod bootstrap;
mod envoy;
mod istio;
mod linkerd;
mod settings;

use std::{
    future::pending,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{envoy::Envoy, settings::Settings};
use crate::options::Shape;

/// What the admin endpoints share with the rest.
#[derive(Debug)]
struct State {
    settings: Settings,
    ready: watch::Sender<bool>,
    /// Whether Istio's inbound side was told to drain, so that SIGTERM has nothing to wait for.
    drained: AtomicBool,
    quit: mpsc::Sender<()>,
}

/// Why the sidecar ends.
#[derive(Debug)]
enum End {
    Asked,
    Signal,
    Crash,
}

/// Istio's terminationDrainDuration.
const ISTIO_DRAIN: Duration = Duration::from_secs(5);

/// Runs until a signal or a request ends it, as the mesh's own would.
pub(crate) async fn run() -> anyhow::Result<ExitCode> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let settings = Settings::from_env()?;
    let (quit, mut asked) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let state =
        Arc::new(State { settings, ready: watch::Sender::new(false), drained: AtomicBool::new(false), quit });
    let mut servers = JoinSet::new();
    match state.settings.shape {
        Shape::Linkerd => linkerd::serve(&state, &mut servers, &stopped).await?,
        Shape::Istio => istio::serve(&state, &mut servers, &stopped).await?,
    }

    let mut envoy = Envoy::new(&state.settings);
    let (crash_after, oom_after) = misfortunes(&state.settings);
    let end = tokio::select! {
        ended = envoy.run(&state) => return Err(ended.context("the proxy without its Envoy is none")),
        _ = asked.recv() => End::Asked,
        _ = term.recv() => End::Signal,
        _ = int.recv() => End::Signal,
        () = after(crash_after) => End::Crash,
        () = fill_memory(oom_after) => End::Crash,
    };
    tracing::info!(?end, "Ending");
    match (end, state.settings.shape) {
        // As told by `mesh.test/crash-after`: at once, and Envoy with it.
        (End::Crash, _) => return Ok(ExitCode::FAILURE),
        (End::Asked | End::Signal, Shape::Linkerd) => {
            // The admin port closes first. That the probes fail from here on is Linkerd's way too.
            stop.send_replace(true);
            envoy.drain(state.settings.grace).await;
        }
        (End::Asked, Shape::Istio) => {}
        (End::Signal, Shape::Istio) if state.drained.load(Ordering::SeqCst) => {}
        (End::Signal, Shape::Istio) => {
            envoy.drain_inbound().await;
            sleep(ISTIO_DRAIN).await;
        }
    }
    stop.send_replace(true);
    envoy.kill().await;
    // The last answer has to leave before the process does.
    let _ = timeout(Duration::from_secs(1), async { while servers.join_next().await.is_some() {} }).await;
    Ok(ExitCode::SUCCESS)
}

/// What is to befall this sidecar: only the first of its pod, so that the one started after it shows how things go on. A
/// volume of the pod's remembers.
fn misfortunes(settings: &Settings) -> (Option<Duration>, Option<Duration>) {
    let volume = match settings.shape {
        Shape::Linkerd => "/var/run/linkerd/identity/end-entity",
        Shape::Istio => "/etc/istio/proxy",
    };
    let marker = Path::new(volume).join("was-started");
    match std::fs::File::create_new(&marker) {
        Ok(_) => (settings.crash_after, settings.oom_after),
        Err(_) => (None, None),
    }
}

async fn after(delay: Option<Duration>) {
    match delay {
        Some(delay) => sleep(delay).await,
        None => pending().await,
    }
}

/// Takes memory until the kernel ends the container.
async fn fill_memory(delay: Option<Duration>) {
    after(delay).await;
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        // Not zeros: those the kernel would share.
        taken.push(vec![taken.len() as u8 | 1; 4 << 20]);
        tracing::info!(mebibytes = taken.len() * 4, "Taking memory");
        sleep(Duration::from_millis(10)).await;
    }
}

// === impl State ===

impl State {
    /// Ends the sidecar. A second request changes nothing.
    fn quit(&self) {
        let _ = self.quit.try_send(());
    }

    fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }
}

/// Reads an environment variable; its absence is an error that names it.
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: the injector sets it"))
}
