//! Namespaces by name: their annotations are defaults for their pods.

use std::time::Duration;

use futures_util::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1;
use kube::{
    Api, Client, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt, reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::time::timeout;

use crate::{
    plan::{INJECT_LABEL, Namespace},
    serve::Gate,
};

/// Namespaces as the API server last told of them.
#[derive(Clone)]
pub struct Namespaces {
    store: Store<Metadata>,
    api: Api<Metadata>,
}

/// What keeps [`Namespaces`] true. Nothing is known until it runs.
#[must_use = "nothing is known until the feed runs"]
pub struct Feed {
    namespaces: Namespaces,
    events: BoxStream<'static, watcher::Result<watcher::Event<Metadata>>>,
}

type Metadata = PartialObjectMeta<v1::Namespace>;

/// How long a review waits for a namespace the watch has not told of yet: well within the API server's own patience
/// with a webhook, which the manifests set to 5 s.
const FETCH: Duration = Duration::from_secs(1);

// === impl Namespaces ===

impl Namespaces {
    /// The cache, empty still, and what fills it.
    pub fn new(client: Client) -> (Self, Feed) {
        let api = Api::<Metadata>::all(client);
        let (store, writer) = reflector::store();
        let events = watcher(api.clone(), watcher::Config::default().page_size(super::PAGE))
            .backoff(super::pauses())
            .modify(forget_what_nobody_asks_for)
            .reflect(writer)
            .boxed();
        let namespaces = Self { store, api };
        (namespaces.clone(), Feed { namespaces, events })
    }

    /// What is known of this namespace. One the watch has not told of, which is usually a second old, is asked for
    /// once; if that fails, its pods get the defaults of the configuration, and their status says why.
    pub async fn get(&self, name: &str) -> Namespace {
        if let Some(known) = self.store.get(&ObjectRef::new(name)) {
            return facts(&known);
        }
        match timeout(FETCH, self.api.get(name)).await {
            Ok(Ok(found)) => facts(&found),
            Ok(Err(error)) => unread(name, &error.to_string()),
            Err(_) => unread(name, "no answer from the API server within 1 s"),
        }
    }
}

impl std::fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Namespaces").field("known", &self.store.len()).finish_non_exhaustive()
    }
}

// === impl Feed ===

impl Feed {
    /// Follows the namespaces for as long as it is polled; `gate` opens with the first whole list, or once it is clear
    /// that there will be none: each is asked for then as it is needed.
    pub async fn run(self, gate: Gate) {
        let Self { namespaces, mut events } = self;
        let mut gate = Some(gate);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitDone) => {
                    if let Some(gate) = gate.take() {
                        tracing::info!(namespaces = namespaces.store.len(), "Following namespaces");
                        gate.open();
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "Cannot follow namespaces, trying again; this service account needs `list` and `watch` on them"
                    );
                    if super::is_forbidden(&error) {
                        drop(gate.take());
                    }
                }
            }
        }
    }
}

/// Five thousand namespaces are held in memory, most of it would be field owners, labels and applied manifests.
fn forget_what_nobody_asks_for(namespace: &mut Metadata) {
    namespace.managed_fields_mut().clear();
    namespace.labels_mut().retain(|key, _| key == INJECT_LABEL);
    namespace.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

fn facts(namespace: &Metadata) -> Namespace {
    let labelled = namespace.labels().get(INJECT_LABEL).is_some_and(|value| value == "enabled");
    Namespace { annotations: namespace.annotations().clone(), labelled, unread: None }
}

fn unread(name: &str, why: &str) -> Namespace {
    tracing::warn!(namespace = name, why, "Namespace unknown, its annotations are not seen");
    Namespace {
        unread: Some(format!("namespace {name:?} could not be read ({why})")),
        ..Namespace::default()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        serve::{Readiness, Ready},
        watch::mock::{SOON, Server, answer, asked_again, client},
    };

    fn mocked() -> (Namespaces, Feed, Server) {
        let (client, server) = client();
        let (namespaces, feed) = Namespaces::new(client);
        (namespaces, feed, server)
    }

    fn namespace(name: &str, annotations: &Value) -> Value {
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
               "metadata": {"name": name, "resourceVersion": "7", "annotations": annotations}})
    }

    fn not_found() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
               "message": "namespaces \"nowhere\" not found", "code": 404})
    }

    #[tokio::test]
    async fn is_ready_with_the_first_list_and_then_asks_nothing() {
        let (namespaces, feed, server) = mocked();
        let readiness = Readiness::default();
        let feed = tokio::spawn(feed.run(readiness.gate("the list of namespaces")));
        assert_eq!(readiness.state().to_string(), "not ready: waiting for the list of namespaces");
        let list = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": "7"},
            "items": [namespace("tests", &json!({"curfew.dev/ready-timeout": "5s",
                                                 "kubectl.kubernetes.io/last-applied-configuration": "{}"}))]});
        let _server = answer(server, [("/api/v1/namespaces?", StatusCode::OK, list)]).await;
        while readiness.state() != Ready::Yes {
            tokio::task::yield_now().await;
        }
        let known = namespaces.get("tests").await;
        assert_eq!(known.unread, None);
        assert_eq!(Vec::from_iter(known.annotations), [("curfew.dev/ready-timeout".into(), "5s".into())]);
        feed.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn where_they_may_not_be_listed_it_is_ready_and_asks_for_each() {
        let (namespaces, feed, server) = mocked();
        let readiness = Readiness::default();
        let feed = tokio::spawn(feed.run(readiness.gate("the list of namespaces")));
        let forbidden = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": "Forbidden", "message": "namespaces is forbidden", "code": 403});
        let server = answer(server, [("/api/v1/namespaces?", StatusCode::FORBIDDEN, forbidden)]).await;
        while readiness.state() != Ready::Yes {
            tokio::task::yield_now().await;
        }
        feed.abort();
        let found = namespace("mine", &json!({"curfew.dev/strategy": "await"}));
        let (known, _server) = tokio::join!(
            namespaces.get("mine"),
            answer(server, [("/api/v1/namespaces/mine", StatusCode::OK, found)])
        );
        assert_eq!(known.annotations.get("curfew.dev/strategy").map(String::as_str), Some("await"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_back_is_heard_within_seconds() {
        let (_namespaces, feed, server) = mocked();
        let feed = tokio::spawn(feed.run(Readiness::default().gate("the list of namespaces")));
        let list = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": "7"}, "items": []});
        let server = answer(server, [("/api/v1/namespaces?", StatusCode::OK, list)]).await;
        assert!(asked_again(server, "/api/v1/namespaces?&watch=true").await <= SOON);
        feed.abort();
    }

    #[tokio::test]
    async fn one_the_watch_has_not_told_of_is_asked_for() {
        let (namespaces, _feed, server) = mocked();
        let found = namespace("young", &json!({"curfew.dev/strategy": "await"}));
        let (known, _server) = tokio::join!(
            namespaces.get("young"),
            answer(server, [("/api/v1/namespaces/young", StatusCode::OK, found)])
        );
        assert_eq!(known.annotations.get("curfew.dev/strategy").map(String::as_str), Some("await"));
        assert_eq!(known.unread, None);
    }

    #[tokio::test]
    async fn one_that_is_not_to_be_had_has_no_defaults_and_a_reason() {
        let (namespaces, _feed, server) = mocked();
        let answers = [("/api/v1/namespaces/nowhere", StatusCode::NOT_FOUND, not_found())];
        let (unknown, _server) = tokio::join!(namespaces.get("nowhere"), answer(server, answers));
        assert!(unknown.annotations.is_empty());
        let reason = unknown.unread.expect("a reason");
        assert!(reason.contains("\"nowhere\" could not be read") && reason.contains("not found"), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_holds_a_review_up_for_a_second() {
        let (namespaces, _feed, mut server) = mocked();
        let start = tokio::time::Instant::now();
        let mut asked = pin!(server.next_request());
        let (unknown, request) = tokio::join!(namespaces.get("stalled"), &mut asked);
        assert!(request.is_some());
        assert_eq!(start.elapsed().as_secs(), 1);
        assert!(unknown.unread.is_some_and(|reason| reason.contains("no answer")));
    }
}
