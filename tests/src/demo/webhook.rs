//! The real webhook, as a process of its own, asked over TLS as the API server asks it.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustls::crypto::ring;
use serde::Deserialize;
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

use super::review::{self, Answer};

/// It is up within milliseconds; the rest is for a busy machine.
const START: Duration = Duration::from_secs(10);
/// After SIGTERM it drains.
const DRAIN: Duration = Duration::from_secs(5);
/// Where it takes reviews.
const PATH: &str = "/mutate";
/// As the API server's `timeoutSeconds: 5`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What it writes once it listens.
#[derive(Debug, Deserialize)]
struct Announcement {
    webhook: SocketAddr,
    ca: String,
}

/// `curfew serve` with a certificate of its own.
#[derive(Debug)]
pub(super) struct Webhook {
    child: Child,
    agent: Agent,
    url: String,
}

// === impl Webhook ===

impl Webhook {
    /// Starts it with its files below `folder` and waits until it can be asked.
    ///
    /// # Errors
    /// When it does not start, or does not say where it listens.
    pub(super) fn start(curfew: &Path, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let (announce, log) = (folder.join("announce.json"), folder.join("log"));
        let child = Command::new(curfew)
            .args([
                "serve",
                "--offline",
                "--self-signed",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            // No endpoint leads here but ours, and we have stopped asking when we end it.
            .args(["--drain-delay", "0", "--drain-timeout", "1s"])
            .arg("--announce")
            .arg(&announce)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?)
            .spawn()
            .with_context(|| curfew.display().to_string())?;
        let mut webhook = Self { child, agent: Agent::new_with_defaults(), url: String::new() };
        let Announcement { webhook: address, ca } = webhook.wait_for(&announce, &log)?;
        webhook.url = format!("https://{address}{PATH}");
        webhook.agent = agent(ca.as_bytes())?;
        Ok(webhook)
    }

    /// Asks it about a pod.
    ///
    /// # Errors
    /// When it does not answer as an API server needs it.
    pub(super) fn review(&self, pod: &Value, uid: &str) -> anyhow::Result<Answer> {
        let body = review::review(pod, uid).to_string();
        let mut response = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .send(body)
            .with_context(|| format!("POST {}", self.url))?;
        ensure!(response.status() == 200, "{} answers {}", self.url, response.status());
        let answer = response.body_mut().read_to_string().context("reading the answer")?;
        review::read(&serde_json::from_str(&answer).context("the answer is no JSON")?, uid)
    }

    fn wait_for(&mut self, announce: &Path, log: &Path) -> anyhow::Result<Announcement> {
        let said = || fs::read_to_string(log).unwrap_or_default();
        let until = Instant::now() + START;
        while Instant::now() < until {
            // It is renamed into its place, so whoever finds it finds all of it.
            if let Ok(text) = fs::read(announce) {
                return serde_json::from_slice(&text).with_context(|| announce.display().to_string());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("curfew serve ended with {status}: {}", said());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("curfew serve does not say where it listens: {}", said())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // Asked first, as Kubernetes does; not yet waited for, so the number is still its own.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = Instant::now() + DRAIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A client that trusts this one CA.
fn agent(pem: &[u8]) -> anyhow::Result<Agent> {
    let ca = Certificate::from_pem(pem).context("the webhook's CA")?;
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[ca]))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        // Whatever proxy this shell has is not for a call to this machine.
        .proxy(None)
        .build();
    Ok(config.into())
}
