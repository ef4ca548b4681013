//! Kubelets by node: what a plan relies on every one of them must have.

use std::{borrow::Cow, collections::BTreeMap, mem, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::{ClusterResourceScope, api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt, watcher},
};
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};

use crate::{
    config::{self, FLOOR},
    plan::{Kubelets, Version},
    serve::Gate,
};

/// What the kubelets can do, as the API server last told of the nodes.
#[derive(Clone, Debug)]
pub struct Nodes {
    kubelets: watch::Receiver<Arc<Kubelets>>,
}

/// What keeps [`Nodes`] true. Nothing is known until it runs.
#[must_use = "nothing is known until the feed runs"]
pub struct Feed {
    client: Client,
    floor: Option<Version>,
    events: BoxStream<'static, watcher::Result<watcher::Event<Node>>>,
    known: Versions,
    told_by: Source,
    kubelets: watch::Sender<Arc<Kubelets>>,
}

/// What is published follows from it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Source {
    /// From nothing: whoever may tell is asked again.
    Nobody,
    /// Nodes may not be listed; the configuration, or the API server's version, speaks for them.
    Another,
    /// From `known`.
    Nodes,
}

/// By name of the node; none where it is no version.
type Versions = BTreeMap<String, Option<Version>>;

/// As much of a node as is asked for: of fifty images on each of five thousand, not one is kept, nor even read.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
struct Node {
    metadata: ObjectMeta,
    kubelet: Option<Version>,
    windows: bool,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Name,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    name: String,
    resource_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    kubelet_version: String,
    operating_system: String,
}

/// How many releases a kubelet may be behind its API server: <https://kubernetes.io/releases/version-skew-policy/>.
const SKEW: u32 = 3;
/// How long the API server may take to tell its version.
const FETCH: Duration = Duration::from_secs(5);

// === impl Nodes ===

impl Nodes {
    /// Nothing known yet, and what changes that.
    pub fn new(client: Client, settings: &config::Nodes) -> (Self, Feed) {
        let (sender, kubelets) = watch::channel(Arc::new(Kubelets::unknown("the nodes are not listed yet")));
        let label_selector = settings.selector.clone();
        let config = watcher::Config { label_selector, ..watcher::Config::default() }.page_size(super::PAGE);
        let feed = Feed {
            events: watcher(Api::all(client.clone()), config).backoff(super::pauses()).boxed(),
            client,
            floor: settings.oldest_kubelet,
            known: Versions::new(),
            told_by: Source::Nobody,
            kubelets: sender,
        };
        (Self { kubelets }, feed)
    }

    /// Follows nothing: this is what is known.
    pub fn fixed(kubelets: Kubelets) -> Self {
        let (_, kubelets) = watch::channel(Arc::new(kubelets));
        Self { kubelets }
    }

    /// What they can do now.
    pub fn kubelets(&self) -> Arc<Kubelets> {
        Arc::clone(&self.kubelets.borrow())
    }
}

// === impl Feed ===

impl Feed {
    /// Follows the nodes for as long as it is polled; `gate` opens with the first whole list, or once it is clear that
    /// there will be none.
    pub async fn run(mut self, gate: Gate) {
        let mut gate = Some(gate);
        let mut listed = Versions::new();
        while let Some(event) = self.events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(node)) => {
                    note(&mut listed, node);
                }
                Ok(watcher::Event::InitDone) => {
                    self.known = mem::take(&mut listed);
                    tracing::info!(nodes = self.known.len(), "Following nodes");
                    self.publish();
                    drop(gate.take());
                }
                Ok(watcher::Event::Apply(node)) => {
                    if note(&mut self.known, node) || self.told_by != Source::Nodes {
                        self.publish();
                    }
                }
                Ok(watcher::Event::Delete(node)) => {
                    self.known.remove(&node.name());
                    self.publish();
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "Cannot follow nodes, trying again; this service account needs `list` and `watch` on them"
                    );
                    if super::is_forbidden(&error) && self.told_by != Source::Another {
                        self.guess().await;
                        drop(gate.take());
                    }
                }
            }
        }
    }

    /// Publishes what the known nodes say.
    fn publish(&mut self) {
        self.told_by = Source::Nodes;
        let told = self.known.iter().filter_map(|(name, version)| Some((name.as_str(), (*version)?)));
        let floor = self.floor.map(|oldest| (FLOOR, oldest));
        let silent = self.known.iter().find(|(_, version)| version.is_none());
        self.say(match silent {
            None => Kubelets::of(told, floor),
            Some((name, _)) => Kubelets::of(told, floor)
                .beside_unknown(&format!("node {name} tells no version of its kubelet that can be read")),
        });
    }

    /// Publishes what can be known without the nodes.
    async fn guess(&mut self) {
        const NOT_LISTED: &str = "nodes may not be listed";
        self.told_by = Source::Another;
        if let Some(oldest) = self.floor {
            return self.say(Kubelets::none_older(&format!("{NOT_LISTED}, and {FLOOR}"), oldest));
        }
        let version = match timeout(FETCH, self.client.apiserver_version()).await {
            Ok(Ok(info)) => info.git_version.parse::<Version>().map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer within 5 s".to_owned()),
        };
        let kubelets = match version {
            Ok(server) => {
                let oldest = Version::new(server.major, server.minor.saturating_sub(SKEW), 0);
                Kubelets::none_older(&format!("{NOT_LISTED}, and an API server {server} allows"), oldest)
            }
            Err(error) => {
                self.told_by = Source::Nobody;
                Kubelets::unknown(format!("{NOT_LISTED}, nor is the API server's version known ({error})"))
            }
        };
        self.say(kubelets);
    }

    fn say(&self, kubelets: Kubelets) {
        self.kubelets.send_if_modified(|said| {
            if **said == kubelets {
                return false;
            }
            tracing::info!(native = %kubelets.native, startup_probes = %kubelets.startup_probes, "Kubelets");
            *said = Arc::new(kubelets);
            true
        });
    }
}

/// Takes note of a node; says whether that changes anything. Curfew leaves Windows pods alone, and so their nodes.
fn note(versions: &mut Versions, node: Node) -> bool {
    match node.windows {
        true => versions.remove(&node.name()).is_some(),
        false => versions.insert(node.name(), node.kubelet) != Some(node.kubelet),
    }
}

// === impl Node ===

impl Node {
    fn name(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
    }
}

impl From<Wire> for Node {
    fn from(Wire { metadata, status }: Wire) -> Self {
        let Name { name, resource_version } = metadata;
        let NodeInfo { kubelet_version, operating_system } = status.node_info;
        Self {
            metadata: ObjectMeta { name: Some(name), resource_version, ..ObjectMeta::default() },
            kubelet: kubelet_version.parse().ok(),
            windows: operating_system == "windows",
        }
    }
}

impl Resource for Node {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Node::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Node::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Node::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Node::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;
