//! Handshakes as an API server would make them that is a little behind.
//!
//! An API server keeps its connections, so admissions alone would see few of the certificates.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use tokio::time::timeout;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        AlertDescription, ClientConfig, Error, RootCertStore, crypto,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    Authority, Space,
    installed::{is_ready, pods},
};

/// How far behind that API server is: less than the shortest hold of the tests, which is 10 s.
pub const BEHIND: Duration = Duration::from_secs(5);
/// A bundle that is older by the time of the answer, on a machine that stood still, says nothing.
const STALE: Duration = Duration::from_secs(8);

/// A client of all replicas that trusts the bundle of a while ago.
pub struct Handshakes<'a> {
    space: &'a Space,
    bundles: VecDeque<(Instant, BTreeSet<String>)>,
}

/// What came of one with each replica.
#[derive(Debug, Default)]
pub struct Round {
    /// How many accepted what was shown.
    pub accepted: usize,
    /// Who showed what is not trusted, and why it is not.
    pub refused: Vec<String>,
}

impl<'a> Handshakes<'a> {
    /// One that begins with the bundle of now.
    pub fn new(space: &'a Space) -> Self {
        Self { space, bundles: VecDeque::new() }
    }

    /// Shakes hands with each ready replica.
    ///
    /// # Errors
    /// The API server's.
    pub async fn with_all(&mut self) -> Result<Round> {
        self.bundles.push_back((Instant::now(), Authority::of(self.space).bundle().await?));
        while self.bundles.get(1).is_some_and(|(seen, _)| seen.elapsed() > BEHIND) {
            self.bundles.pop_front();
        }
        let (seen, bundle) = self.bundles.front().context("no bundle")?;
        let connector = trusting(bundle)?;
        let api = pods(self.space);
        let mut round = Round::default();
        for replica in api.list(&ListParams::default()).await?.items.iter().filter(|pod| is_ready(pod)) {
            let shaken = timeout(BEHIND, shaken(&api, &replica.name_any(), &connector)).await;
            match shaken {
                Ok(Ok(())) => round.accepted += 1,
                // One that goes just now, or a slow machine, is no certificate that is refused.
                Ok(Err(Refusal::Unreachable)) | Err(_) => {}
                Ok(Err(Refusal::Tls(_))) if seen.elapsed() > STALE => {}
                Ok(Err(Refusal::Tls(why))) => round.refused.push(format!("{}: {why}", replica.name_any())),
            }
        }
        Ok(round)
    }
}

/// A client that trusts these certificates and no other.
fn trusting(bundle: &BTreeSet<String>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in bundle {
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
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
    shaken.map(drop).map_err(|error| match error.get_ref().and_then(|error| error.downcast_ref()) {
        // Started just now, it has no certificate yet, and shows none that could be wrong.
        None | Some(Error::AlertReceived(AlertDescription::AccessDenied)) => Refusal::Unreachable,
        Some(error) => Refusal::Tls(error.to_string()),
    })
}
