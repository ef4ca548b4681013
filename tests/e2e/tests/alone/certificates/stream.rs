//! Pods admitted all along, and handshakes as an API server would make them that is a little behind.
//!
//! An API server keeps its connections, so admissions alone would see few of the certificates.

use std::{
    cell::Cell,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use curfew_e2e::{Space, image};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::json;
use tokio::time::{interval, timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, crypto,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::Authority;

/// Between two pods.
const PACE: Duration = Duration::from_millis(50);
/// Between two handshakes with each replica.
const HANDSHAKES: Duration = Duration::from_millis(500);
/// How far behind that API server is: less than the shortest hold of the tests, which is 10 s.
const BEHIND: Duration = Duration::from_secs(5);

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

/// Runs `body` while pods are admitted at a steady pace, and goes on until those who are behind have seen what came of it.
///
/// # Errors
/// Its own, or an admission or a handshake failed.
pub(super) async fn under_admissions(space: &Space, body: impl Future<Output = Result<()>>) -> Result<()> {
    let (made, shaken) = (Cell::new(0_u32), Cell::new(0_u32));
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
        let mut bundles = VecDeque::new();
        loop {
            pace.tick().await;
            match all_accepted(space, &mut bundles).await {
                Ok(accepted) => shaken.set(shaken.get() + accepted),
                Err(error) => return error.context("a handshake failed"),
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

/// Whether a client that trusts the bundle of a while ago accepts what each ready replica shows; how many there were.
async fn all_accepted(space: &Space, bundles: &mut VecDeque<(Instant, BTreeSet<String>)>) -> Result<u32> {
    bundles.push_back((Instant::now(), Authority::of(space).bundle().await?));
    while bundles.get(1).is_some_and(|(seen, _)| seen.elapsed() > BEHIND) {
        bundles.pop_front();
    }
    let (_, bundle) = bundles.front().context("no bundle")?;
    let mut roots = RootCertStore::empty();
    for certificate in bundle {
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let api = Api::<Pod>::namespaced(space.client(), "curfew");
    let mut accepted = 0;
    for replica in api.list(&ListParams::default()).await?.items.iter().filter(|pod| is_ready(pod)) {
        let shaken = timeout(Duration::from_secs(5), shaken(&api, &replica.name_any(), &connector)).await;
        match shaken {
            Ok(Ok(())) => accepted += 1,
            // One that goes just now, or a slow machine, is no certificate that is refused.
            Ok(Err(Refusal::Unreachable)) | Err(_) => {}
            Ok(Err(Refusal::Tls(why))) => {
                bail!("{} shows what API servers do not trust: {why}", replica.name_any())
            }
        }
    }
    Ok(accepted)
}

/// Why there was no handshake.
enum Refusal {
    Unreachable,
    Tls(String),
}

async fn shaken(api: &Api<Pod>, replica: &str, connector: &TlsConnector) -> Result<(), Refusal> {
    let mut forward = api.portforward(replica, &[9443]).await.map_err(|_| Refusal::Unreachable)?;
    let stream = forward.take_stream(9443).ok_or(Refusal::Unreachable)?;
    let name = ServerName::try_from("curfew.curfew.svc").map_err(|error| Refusal::Tls(error.to_string()))?;
    let shaken = connector.connect(name, stream).await;
    shaken.map(drop).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Refusal::Tls(error.to_string()),
        _ => Refusal::Unreachable,
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
