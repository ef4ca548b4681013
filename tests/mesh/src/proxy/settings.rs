//! What the sidecar does, from the environment its injector wrote.

use std::{env, path::PathBuf, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::variable;
use crate::{duration, options::Shape};

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) shape: Shape,
    pub(super) ready_after: Option<Duration>,
    pub(super) strict: bool,
    pub(super) crash_after: Option<Duration>,
    pub(super) oom_after: Option<Duration>,
    /// Where others of the mesh are, as address and length of prefix.
    pub(super) networks: Vec<(String, u8)>,
    /// The one address in there that is not of the mesh.
    pub(super) api_server: Option<String>,
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
    /// A folder that can be written to.
    pub(super) folder: PathBuf,
    pub(super) inbound_port: u16,
    pub(super) outbound: (&'static str, u16),
    /// Linkerd: whether `/shutdown` is there.
    pub(super) shutdown_enabled: bool,
    /// Linkerd: how long a drain may take.
    pub(super) grace: Duration,
    /// Linkerd: what anybody may GET of a strict proxy.
    pub(super) probes: Vec<Probe>,
    /// Istio: what each path under `/app-health/` asks of the app.
    pub(super) probers: Map<String, Value>,
    /// Istio: where the app is.
    pub(super) pod_ip: String,
}

/// One HTTP probe of the app.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) port: u16,
    pub(super) path: String,
}

/// Linkerd's default.
const GRACE: Duration = Duration::from_secs(120);

// === impl Settings ===

impl Settings {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        let shape = Shape::parse(&variable("TEST_MESH_SHAPE")?).context("TEST_MESH_SHAPE")?;
        let (folder, inbound_port, outbound) = match shape {
            Shape::Linkerd => (variable("LINKERD2_PROXY_IDENTITY_DIR")?, 4143, ("127.0.0.1", 4140)),
            Shape::Istio => ("/etc/istio/proxy".to_owned(), 15006, ("0.0.0.0", 15001)),
        };
        let networks = variable("TEST_MESH_NETWORKS")?;
        Ok(Self {
            shape,
            ready_after: match env::var("TEST_MESH_READY_AFTER") {
                Ok(never) if never == "never" => None,
                _ => Some(optional("TEST_MESH_READY_AFTER")?.unwrap_or_default()),
            },
            strict: env::var("TEST_MESH_STRICT").is_ok_and(|value| value == "true"),
            crash_after: optional("TEST_MESH_CRASH_AFTER")?,
            oom_after: optional("TEST_MESH_OOM_AFTER")?,
            networks: networks.split(',').map(network).collect::<anyhow::Result<_>>()?,
            api_server: env::var("KUBERNETES_SERVICE_HOST").ok(),
            ca: variable("TEST_MESH_CA")?,
            certificate: variable("TEST_MESH_CERTIFICATE")?,
            key: variable("TEST_MESH_KEY")?,
            folder: folder.into(),
            inbound_port,
            outbound,
            shutdown_enabled: env::var("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED")
                .is_ok_and(|it| it == "true"),
            grace: optional("LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD")?.unwrap_or(GRACE),
            probes: json("TEST_MESH_PROBES")?,
            probers: json("ISTIO_KUBE_APP_PROBERS")?,
            pod_ip: env::var("INSTANCE_IP").unwrap_or_else(|_| "127.0.0.1".to_owned()),
        })
    }
}

fn optional(name: &str) -> anyhow::Result<Option<Duration>> {
    env::var(name).ok().map(|text| duration::parse(&text)).transpose().with_context(|| name.to_owned())
}

fn json<T: for<'de> Deserialize<'de> + Default>(name: &str) -> anyhow::Result<T> {
    let Ok(text) = env::var(name) else { return Ok(T::default()) };
    serde_json::from_str(&text).with_context(|| format!("{name} is not the JSON the injector writes"))
}

fn network(cidr: &str) -> anyhow::Result<(String, u8)> {
    let wrong = || format!("TEST_MESH_NETWORKS: {cidr:?} is no network: write it as in 198.18.0.0/17");
    let (address, length) = cidr.trim().split_once('/').with_context(wrong)?;
    Ok((address.to_owned(), length.parse().with_context(wrong)?))
}
