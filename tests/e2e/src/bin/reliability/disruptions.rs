//! What is done to Curfew, its certificates and the API server.

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use curfew_certs::CaCertificate;
use curfew_e2e::{
    Authority, Space,
    installed::{MINUTES, change, gone, is_ready, pods, replicas, rolled, settled},
    machine::restart_api_server,
    process_of,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DeleteParams, EvictParams, ListParams},
};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::sleep};

use crate::away::is_away;

/// One way to disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disruption {
    Nothing,
    Sigterm,
    Drain,
    Rollout,
    Certificates,
    Secret,
    Sigkill,
    ApiServer,
}

/// After so many starts of its container the kubelet lets a replica wait for long enough to matter.
const STARTS: i32 = 2;
/// Between two tries of what is refused for now.
const AGAIN: Duration = Duration::from_millis(500);
const DAY: Duration = Duration::from_secs(24 * 3600);

// === impl Disruption ===

impl Disruption {
    pub(crate) const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Sigterm,
        Self::Drain,
        Self::Rollout,
        Self::Certificates,
        Self::Secret,
        Self::Sigkill,
        Self::ApiServer,
    ];

    /// As the table calls it, where some are done so many `times`.
    pub(crate) fn name(self, times: usize) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Sigterm => "each replica deleted (SIGTERM)".to_owned(),
            Self::Drain => "drain: each replica evicted".to_owned(),
            Self::Rollout => "rolling restart".to_owned(),
            Self::Certificates => format!("{times} rotations of CA and leaf"),
            Self::Secret => "Secret deleted twice".to_owned(),
            Self::Sigkill => format!("replicas killed {times} times (SIGKILL)"),
            Self::ApiServer => "API server killed twice".to_owned(),
        }
    }

    /// Whether nothing may be refused meanwhile.
    pub(crate) fn is_for_nothing(self) -> bool {
        !matches!(self, Self::Sigkill | Self::ApiServer)
    }

    /// Does it, and waits until all is as it was; some are done so many `times`.
    pub(crate) async fn happen(self, space: &Space, times: usize) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Sigterm => each_deleted(space).await,
            Self::Drain => drained(space).await,
            Self::Rollout => rolled(space).await,
            Self::Certificates => rotated(space, times).await,
            Self::Secret => secret_deleted(space).await,
            Self::Sigkill => killed(space, times).await,
            Self::ApiServer => api_server_killed(space).await,
        }
    }
}

async fn each_deleted(space: &Space) -> Result<()> {
    for replica in replicas(space).await? {
        pods(space).delete(&replica, &DeleteParams::default()).await?;
        gone(space, &[replica].into()).await?;
        settled(space, 2).await?;
    }
    Ok(())
}

/// As `kubectl drain` does: all are evicted at once, and tried again for as long as the budget says no. There is no other node,
/// so this one takes their successors.
async fn drained(space: &Space) -> Result<()> {
    let before = replicas(space).await?;
    for replica in &before {
        space
            .until(&format!("{replica} may be evicted"), MINUTES, async || {
                match pods(space).evict(replica, &EvictParams::default()).await {
                    Ok(_) => Ok(Ok(())),
                    Err(kube::Error::Api(status)) if status.code == 429 => Ok(Err(status.message)),
                    Err(error) => Err(error.into()),
                }
            })
            .await?;
    }
    gone(space, &before).await?;
    settled(space, 2).await
}

/// Lives are short meanwhile, and so is the time for which a CA is held back.
async fn rotated(space: &Space, times: usize) -> Result<()> {
    let authority = Authority::at_rest(space).await?;
    let lives = |ca: Value, leaf: Value| {
        let with = |name: &str, value: Value| {
            let mut variable = value;
            variable["name"] = json!(name);
            variable
        };
        let env = [with("CURFEW_CA_LIFE", ca), with("CURFEW_LEAF_LIFE", leaf)];
        json!({"template": {"spec": {"containers": [{"name": "webhook", "env": env}]}}})
    };
    change(space, lives(json!({"value": "2m"}), json!({"value": "30s"}))).await?;
    let all = async {
        settled(space, 2).await?;
        let mut active = authority.field("ca.crt").await?;
        for _ in 0..times {
            authority.ask_for_another().await?;
            active = authority.replaced(&active).await?;
        }
        anyhow::Ok(())
    }
    .await;
    let gone = json!({"$patch": "delete"});
    change(space, lives(gone.clone(), gone)).await?;
    settled(space, 2).await?;
    all?;
    // The last one lives for two minutes only.
    let active = authority.field("ca.crt").await?;
    authority.ask_for_another().await?;
    let lasting = authority.replaced(&active).await?;
    // Replicas of before still drained when it was asked for, and must not have made it.
    let ends = CaCertificate::bundle_from_pem(&lasting).first().context("no CA in the Secret")?.life().to;
    ensure!(ends > SystemTime::now() + DAY, "the last CA ends at {ends:?}, as one of those that rotate");
    Authority::at_rest(space).await.map(drop)
}

async fn secret_deleted(space: &Space) -> Result<()> {
    let authority = Authority::at_rest(space).await?;
    let before = authority.fields().await?;
    for _ in 0..2 {
        let uid = authority.delete().await?;
        authority.is_again(&before, Some(&uid)).await?;
    }
    Ok(())
}

/// The one killed is the one that was least often, and the next only when both are ready again. Where the kubelet would let it
/// wait for long, new replicas take over first.
async fn killed(space: &Space, times: usize) -> Result<()> {
    for _ in 0..times {
        let mut ready = ready(space).await?;
        ensure!(ready.len() == 2, "{} replicas are ready", ready.len());
        ready.sort_by_key(starts);
        if ready.first().is_some_and(|pod| starts(pod) >= STARTS) {
            rolled(space).await?;
            ready = self::ready(space).await?;
        }
        let victim = ready.first().context("no replica")?;
        let process = process_of(victim, "webhook").context("a replica without a process on this machine")?;
        let number = process.file_name().and_then(|name| name.to_str()).context("no number")?;
        let killed = Command::new("kill").args(["-KILL", number]).status()?;
        ensure!(killed.success(), "kill -KILL {number}: {killed}");
        let (name, before) = (victim.name_any(), starts(victim));
        space
            .until("the replica runs again, and both are ready", MINUTES, async || {
                let ready = self::ready(space).await?;
                let again = ready.iter().any(|pod| pod.name_any() == name && starts(pod) > before);
                Ok(if again && ready.len() == 2 { Ok(()) } else { Err(ready.len()) })
            })
            .await?;
    }
    Ok(())
}

async fn ready(space: &Space) -> Result<Vec<Pod>> {
    let all = pods(space).list(&ListParams::default().labels("app.kubernetes.io/name=curfew")).await?;
    Ok(all.items.into_iter().filter(is_ready).collect())
}

/// How often the kubelet has started its container again.
fn starts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

async fn api_server_killed(space: &Space) -> Result<()> {
    for _ in 0..2 {
        // Aside, so that the load goes on.
        spawn_blocking(restart_api_server).await??;
        let start = Instant::now();
        while let Err(error) = settled(space, 2).await {
            ensure!(is_away(&error) && start.elapsed() < MINUTES, error);
            sleep(AGAIN).await;
        }
    }
    Ok(())
}
