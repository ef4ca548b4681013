//! Pods admitted all along, and handshakes made all along.

use std::{cell::Cell, time::Duration};

use anyhow::{Result, anyhow, ensure};
use curfew_e2e::{BEHIND, Handshakes, Space, image, installed::MINUTES};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::PostParams};
use serde_json::json;
use tokio::time::interval;

/// Between two pods.
const PACE: Duration = Duration::from_millis(50);
/// Between two handshakes with each replica.
const HANDSHAKES: Duration = Duration::from_millis(500);

/// Whether a labelled pod would be admitted, and patched. None is made.
pub(super) async fn admitted(space: &Space) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "asked-"},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": image("test-busybox"), "command": ["true"]},
            {"name": "linkerd-proxy", "image": image("test-busybox"), "command": ["true"]},
        ]},
    }))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pod = space.api::<Pod>().create(&dry, &pod).await?;
    ensure!(pod.labels().contains_key("curfew.dev/applied"), "admitted, but not patched");
    Ok(())
}

/// Waits until a labelled pod is admitted and patched: API servers read a bundle a moment after it is written.
pub(crate) async fn all_is_well(space: &Space) -> Result<()> {
    space
        .until("labelled pods are admitted", MINUTES, async || {
            Ok(admitted(space).await.map_err(|error| format!("{error:#}")))
        })
        .await
}

/// Runs `body` while pods are admitted at a steady pace, and goes on until those who are behind have seen what came of it.
///
/// # Errors
/// Its own, or an admission or a handshake failed.
pub(crate) async fn under_admissions(space: &Space, body: impl Future<Output = Result<()>>) -> Result<()> {
    let (made, shaken) = (Cell::new(0_usize), Cell::new(0_usize));
    let admissions = async {
        let mut pace = interval(PACE);
        loop {
            pace.tick().await;
            if let Err(error) = admitted(space).await {
                return error.context(format!("an admission failed after {}", made.get()));
            }
            made.set(made.get() + 1);
        }
    };
    let handshakes = async {
        let mut pace = interval(HANDSHAKES);
        let mut handshakes = Handshakes::new(space);
        loop {
            pace.tick().await;
            match handshakes.with_all().await {
                Ok(round) if round.refused.is_empty() => shaken.set(shaken.get() + round.accepted),
                Ok(round) => return anyhow!("API servers do not trust what is shown: {:?}", round.refused),
                Err(error) => return error.context("no handshakes"),
            }
        }
    };
    let body = async {
        body.await?;
        let mut pace = interval(BEHIND);
        pace.tick().await;
        pace.tick().await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = body => done?,
        error = admissions => return Err(error),
        error = handshakes => return Err(error),
    }
    ensure!(made.get() > 0 && shaken.get() > 0, "{} admissions, {} handshakes", made.get(), shaken.get());
    Ok(())
}
