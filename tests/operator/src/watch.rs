//! What makes the operator look at a TestRun: itself, its Jobs, and pods with its name in the label `k6_cr`.

use anyhow::Context;
use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, select_all},
};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    cluster::{KINDS, resource},
    queue::Key,
    spec::API_VERSION,
};

/// Sends the name of a TestRun whenever something of it changes, until a watch ends, which it should not.
pub(crate) async fn run(client: Client, keys: UnboundedSender<Key>) -> anyhow::Result<()> {
    let mut streams = Vec::new();
    for kind in KINDS {
        let runs = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), &resource(kind));
        let find =
            move |run: &PartialObjectMeta<DynamicObject>| vec![key(kind, &run.metadata, &run.name_any())];
        streams.push(changes(watcher(runs, watcher::Config::default()), find));
    }
    let ours = |selector: &str| watcher::Config::default().labels(selector);
    let jobs = Api::<PartialObjectMeta<Job>>::all(client.clone());
    streams.push(changes(watcher(jobs, ours("app=k6")), owners));
    let pods = Api::<PartialObjectMeta<Pod>>::all(client.clone());
    streams.push(changes(watcher(pods, ours("k6_cr")), named));
    let mut all = select_all(streams);
    while let Some(found) = all.next().await {
        for key in found {
            keys.send(key).context("nobody listens to the watches any more")?;
        }
    }
    anyhow::bail!("a watch ended; this should not happen")
}

/// The names found in everything that is listed, changed or deleted. A failed watch is tried again.
fn changes<T: 'static>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static,
    find: impl Fn(&T) -> Vec<Key> + Send + 'static,
) -> BoxStream<'static, Vec<Key>> {
    let names = events.default_backoff().filter_map(move |event| {
        let names = match event {
            Ok(Event::Apply(meta) | Event::Delete(meta) | Event::InitApply(meta)) => Some(find(&meta)),
            Ok(Event::Init | Event::InitDone) => None,
            Err(error) => {
                tracing::warn!("a watch failed and is tried again: {error}");
                None
            }
        };
        std::future::ready(names)
    });
    names.boxed()
}

fn key(kind: &'static str, of: &ObjectMeta, name: &str) -> Key {
    Key { namespace: of.namespace.clone().unwrap_or_default(), name: name.to_owned(), kind }
}

/// The TestRun that controls a Job.
fn owners(job: &PartialObjectMeta<Job>) -> Vec<Key> {
    let ours = |kind: &&'static str| {
        let owner = job.metadata.owner_references.iter().flatten().find(|owner| {
            owner.controller == Some(true) && owner.api_version == API_VERSION && owner.kind == **kind
        });
        owner.map(|owner| key(kind, &job.metadata, &owner.name))
    };
    KINDS.iter().filter_map(ours).collect()
}

/// The TestRun a pod names in its label, of either kind.
fn named(pod: &PartialObjectMeta<Pod>) -> Vec<Key> {
    let name = pod.labels().get("k6_cr").map(String::as_str).unwrap_or_default();
    KINDS.iter().map(|kind| key(kind, &pod.metadata, name)).collect()
}
