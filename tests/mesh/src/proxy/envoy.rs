//! The Envoy process.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{State, bootstrap, settings::Settings};
use crate::http::{Answer, Ask};

/// One Envoy; it may not be started yet, or not any more.
#[derive(Debug)]
pub(super) struct Envoy {
    config: PathBuf,
    socket: PathBuf,
    child: Option<Child>,
}

const PROGRAM: &str = "/usr/local/bin/envoy";
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);

// === impl Envoy ===

impl Envoy {
    pub(super) fn new(settings: &Settings) -> Self {
        let (config, socket) = (settings.folder.join("envoy.json"), settings.folder.join("envoy.sock"));
        Self { config, socket, child: None }
    }

    /// Starts it when its time has come, says when it is ready, and returns only when it is over.
    ///
    /// Until it is started nothing listens where the pod's traffic is redirected to, as with a proxy that still
    /// waits for its identity or its configuration.
    pub(super) async fn run(&mut self, state: &State) -> anyhow::Error {
        match self.try_run(state).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_run(&mut self, state: &State) -> anyhow::Result<std::convert::Infallible> {
        match state.settings.ready_after {
            Some(delay) => sleep(delay).await,
            None => std::future::pending().await,
        }
        let begin = Instant::now();
        let config = bootstrap::config(&state.settings, &self.socket).to_string();
        std::fs::write(&self.config, config)
            .with_context(|| format!("cannot write {}", self.config.display()))?;
        // What a container that was restarted left behind.
        let _ = std::fs::remove_file(&self.socket);
        let child = Command::new(PROGRAM)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--config-path"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{PROGRAM} does not start: is it in the image?"))?;
        let child = self.child.insert(child);
        loop {
            // Its listeners are up once it says LIVE, for they are all in its bootstrap.
            let asked = Ask::new("GET", "/ready").unix(&self.socket, PATIENCE).await;
            if asked.is_ok_and(|answer| answer.status == 200) {
                break;
            }
            if let Some(status) = child.try_wait()? {
                return Err(anyhow!("Envoy ended with {status} before it was ready; its log above says why"));
            }
            sleep(POLL).await;
        }
        tracing::info!(took = ?begin.elapsed(), "Ready");
        state.ready.send_replace(true);
        let status = child.wait().await?;
        Err(anyhow!("Envoy ended with {status}"))
    }

    /// Takes no new connections, and waits for those there are.
    pub(super) async fn drain(&self, grace: Duration) {
        let begin = Instant::now();
        if self.ask("POST", "/drain_listeners").await.is_none() {
            return;
        }
        loop {
            let open = self.open_connections().await;
            if open == 0 {
                tracing::info!(took = ?begin.elapsed(), "Drained");
                return;
            }
            if begin.elapsed() >= grace {
                tracing::warn!(connections = open, "Shutdown grace period is over");
                return;
            }
            sleep(POLL).await;
        }
    }

    /// Tells those who speak to the app to go elsewhere.
    pub(super) async fn drain_inbound(&self) {
        self.ask("POST", "/drain_listeners?inboundonly&graceful&skip_exit").await;
    }

    /// Ends it without a word.
    pub(super) async fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill().await;
        }
    }

    async fn open_connections(&self) -> u64 {
        let path = "/stats?filter=^listener%5C.(inbound|outbound)%5C.downstream_cx_active$";
        let Some(answer) = self.ask("GET", path).await else { return 0 };
        answer.body.lines().filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok()).sum()
    }

    /// None where there is no Envoy to ask.
    async fn ask(&self, method: &str, path: &str) -> Option<Answer> {
        self.child.as_ref()?;
        match Ask::new(method, path).unix(&self.socket, PATIENCE).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!("Envoy's admin: {error:#}");
                None
            }
        }
    }
}
