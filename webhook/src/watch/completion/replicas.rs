//! The replicas of Curfew that are ready.

use std::{collections::BTreeMap, mem, sync::Arc};

use futures_util::StreamExt;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use serde::Deserialize;
use tokio::sync::watch;

use super::pod::{Glimpse, Pod};
use crate::pod::{Text, nullable};

/// This replica's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The names of the pods of Curfew that are ready; none where it is not known who is.
pub(super) type Ready = watch::Receiver<Arc<[Box<str>]>>;

/// The label of Curfew's own pods.
const SELECTOR: &str = "app.kubernetes.io/name=curfew";

/// Who is ready, and what keeps that true while it is polled; where they cannot be followed, each replica acts as if alone,
/// which costs a request that changes nothing.
pub(super) fn follow(client: Client, own: &Own) -> (Ready, impl Future<Output = ()> + use<>) {
    let (sender, ready) = watch::channel(Arc::from([]));
    let api = Api::<Pod<IsReady>>::namespaced(client, &own.namespace);
    let config = watcher::Config::default().labels(SELECTOR).page_size(super::super::PAGE);
    let mut events = Box::pin(watcher(api, config).backoff(super::super::pauses()));
    let feed = async move {
        let mut known = BTreeMap::new();
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(pod)) => {
                    listed.insert(pod.name().to_owned(), pod.seen);
                }
                Ok(watcher::Event::InitDone) => known = mem::take(&mut listed),
                Ok(watcher::Event::Apply(pod)) => {
                    known.insert(pod.name().to_owned(), pod.seen);
                }
                Ok(watcher::Event::Delete(pod)) => {
                    known.remove(pod.name());
                }
                Err(error) => tracing::warn!(%error, "Cannot follow the replicas of Curfew, trying again"),
            }
            let names = known.iter().filter(|(_, IsReady(ready))| *ready).map(|(name, _)| Box::from(&**name));
            sender.send_if_modified(|said| {
                let names: Arc<[Box<str>]> = names.collect();
                let changed = *said != names;
                if changed {
                    tracing::info!(replicas = ?names, "Ready replicas");
                    *said = names;
                }
                changed
            });
        }
    };
    (ready, feed)
}

/// Whether a pod is, and is to stay so.
#[derive(Clone, Debug)]
struct IsReady(bool);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    deletion_timestamp: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    conditions: Vec<Condition<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    status: Text<'a>,
}

impl Glimpse for IsReady {
    fn of(json: &str) -> Self {
        let Wire { metadata, status } = serde_json::from_str(json).unwrap_or_default();
        let ready = status.conditions.iter().any(|it| it.kind == "Ready" && it.status == "True");
        Self(ready && metadata.deletion_timestamp.is_none())
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::watch::mock::{SOON, answer, asked_again, client};

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_back_is_heard_within_seconds() {
        let (client, server) = client();
        let (_ready, feed) = follow(client, &Own { namespace: "curfew".into(), name: "curfew-a".into() });
        let feed = tokio::spawn(feed);
        let path = "/api/v1/namespaces/curfew/pods?";
        let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"},
                          "items": []});
        let server = answer(server, [(path, StatusCode::OK, list)]).await;
        assert!(asked_again(server, path).await <= SOON);
        feed.abort();
    }
}
