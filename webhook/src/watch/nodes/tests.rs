use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    plan::Support,
    serve::{Readiness, Ready},
    watch::mock::{SOON, Server, answer, asked_again, client},
};

/// A feed at work, and what is to be seen of it. Time is each test's own: between tries it passes at once.
struct Followed {
    nodes: Nodes,
    readiness: Readiness,
    feed: JoinHandle<()>,
}

fn follow(settings: &config::Nodes) -> (Followed, Server) {
    let (client, server) = client();
    let (nodes, feed) = Nodes::new(client, settings);
    let readiness = Readiness::default();
    let feed = tokio::spawn(feed.run(readiness.gate("the list of nodes")));
    (Followed { nodes, readiness, feed }, server)
}

impl Followed {
    /// Waits until `native` is that.
    async fn native(&mut self, wanted: impl Fn(&Support) -> bool) -> Support {
        let native = |kubelets: &Arc<Kubelets>| wanted(&kubelets.native);
        let known = timeout(Duration::from_secs(3600), self.nodes.kubelets.wait_for(native)).await;
        known.expect("it never is").expect("the feed runs").native.clone()
    }

    async fn no(&mut self) -> String {
        match self.native(|native| matches!(native, Support::No(_))).await {
            Support::No(why) => why,
            other => panic!("{other}"),
        }
    }

    async fn unknown(&mut self) -> String {
        match self.native(|native| matches!(native, Support::Unknown(_))).await {
            Support::Unknown(why) => why,
            other => panic!("{other}"),
        }
    }

    async fn ready(&self) {
        while self.readiness.state() != Ready::Yes {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

fn node(name: &str, kubelet: &str, system: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "resourceVersion": "8"},
           "spec": {"podCIDR": "10.0.0.0/24"},
           "status": {"images": [{"names": ["a"], "sizeBytes": 1}],
                      "nodeInfo": {"kubeletVersion": kubelet, "operatingSystem": system}}})
}

fn list(items: &[Value]) -> (&'static str, StatusCode, Value) {
    let list =
        json!({"apiVersion": "v1", "kind": "NodeList", "metadata": {"resourceVersion": "7"}, "items": items});
    ("/api/v1/nodes?", StatusCode::OK, list)
}

/// A watch that tells of one event and ends, so that the next is asked for.
fn watched(kind: &str, object: &Value) -> (&'static str, StatusCode, Value) {
    ("/api/v1/nodes?&watch=true", StatusCode::OK, json!({"type": kind, "object": object}))
}

fn forbidden(path: &str) -> (&str, StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Forbidden", "message": "nodes is forbidden", "code": 403});
    (path, StatusCode::FORBIDDEN, status)
}

fn version(of_server: &str) -> (&'static str, StatusCode, Value) {
    let major_minor =
        json!({"major": "1", "minor": "31+", "gitVersion": of_server, "platform": "linux/amd64"});
    ("/version", StatusCode::OK, major_minor)
}

#[tokio::test(start_paused = true)]
async fn is_ready_with_the_first_list() {
    let (mut followed, server) = follow(&config::Nodes::default());
    assert!(
        matches!(&followed.nodes.kubelets().native, Support::Unknown(why) if why.contains("not listed yet"))
    );
    assert_eq!(followed.readiness.state().to_string(), "not ready: waiting for the list of nodes");
    let _server = answer(server, [list(&[node("a", "v1.36.3", "linux")])]).await;
    followed.ready().await;
    assert_eq!(followed.native(|_| true).await, Support::Yes);
}

#[tokio::test(start_paused = true)]
async fn an_old_node_turns_native_off_as_it_comes_and_on_as_it_goes() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let old = node("old", "v1.28.9-eks-1", "linux");
    let server = answer(server, [list(&[node("a", "v1.36.3", "linux")]), watched("ADDED", &old)]).await;
    assert_eq!(followed.no().await, "node old runs kubelet 1.28.9; native sidecars need 1.29");
    let server = answer(server, [watched("DELETED", &old)]).await;
    followed.native(|native| *native == Support::Yes).await;
    // And one that is upgraded where it stands.
    let server = answer(server, [watched("ADDED", &old)]).await;
    followed.no().await;
    let _server = answer(server, [watched("MODIFIED", &node("old", "v1.29.0", "linux"))]).await;
    followed.native(|native| *native == Support::Yes).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_list_replaces_the_old_one() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410});
    let answers = [list(&[node("old", "v1.28.9", "linux")]), watched("ERROR", &gone)];
    let server = answer(server, answers).await;
    followed.no().await;
    let _server = answer(server, [list(&[node("a", "v1.36.3", "linux")])]).await;
    followed.native(|native| *native == Support::Yes).await;
}

#[tokio::test(start_paused = true)]
async fn where_nodes_may_not_be_listed_the_api_server_speaks_for_them_until_they_may() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let server = answer(server, [forbidden("/api/v1/nodes?"), version("v1.31.2-gke.7")]).await;
    followed.ready().await;
    let why =
        "nodes may not be listed, and an API server 1.31.2 allows kubelet 1.28.0; native sidecars need 1.29";
    assert_eq!(followed.no().await, why);
    // The API server is asked for its version once, for nodes again and again.
    let answers = [forbidden("/api/v1/nodes?"), list(&[node("a", "v1.31.2", "linux")])];
    let _server = answer(server, answers).await;
    followed.native(|native| *native == Support::Yes).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_taken_away_is_no_longer_relied_on() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let watch = "/api/v1/nodes?&watch=true";
    let new = node("a", "v1.36.3", "linux");
    let answers = [list(std::slice::from_ref(&new)), forbidden(watch), version("v1.30.0")];
    let server = answer(server, answers).await;
    assert!(followed.no().await.contains("an API server 1.30.0 allows kubelet 1.27.0"));
    // The first event after it, a heartbeat as good as any, says that the watch is back.
    let _server = answer(server, [watched("MODIFIED", &new)]).await;
    followed.native(|native| *native == Support::Yes).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_where_the_api_server_tells_nothing_until_it_does() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let server = answer(server, [forbidden("/api/v1/nodes?"), forbidden("/version")]).await;
    followed.ready().await;
    assert!(followed.unknown().await.starts_with("nodes may not be listed, nor"));
    // An answer that is none is not the last word either.
    let mut server = answer(server, [forbidden("/api/v1/nodes?")]).await;
    let (request, _never) = server.next_request().await.expect("a request");
    assert_eq!(request.uri(), "/version");
    let _server = answer(server, [forbidden("/api/v1/nodes?"), version("v1.31.2")]).await;
    assert!(followed.no().await.contains("an API server 1.31.2 allows kubelet 1.28.0"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_taken_away_with_all_else_is_relied_on_once_it_is_back() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let new = node("a", "v1.36.3", "linux");
    let answers =
        [list(std::slice::from_ref(&new)), forbidden("/api/v1/nodes?&watch=true"), forbidden("/version")];
    let server = answer(server, answers).await;
    while !followed.unknown().await.starts_with("nodes may not be listed, nor") {
        followed.nodes.kubelets.changed().await.expect("the feed runs");
    }
    let _server = answer(server, [watched("MODIFIED", &new)]).await;
    followed.native(|native| *native == Support::Yes).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_back_is_heard_within_seconds() {
    let (_followed, server) = follow(&config::Nodes::default());
    let server = answer(server, [list(&[node("a", "v1.36.3", "linux")])]).await;
    assert!(asked_again(server, "/api/v1/nodes?&watch=true").await <= SOON);
}

#[tokio::test(start_paused = true)]
async fn a_floor_counts_beside_nodes_and_where_they_may_not_be_listed() {
    let floor = config::Nodes { oldest_kubelet: Some(Version::new(1, 28, 0)), selector: None };
    let (mut followed, server) = follow(&floor);
    let server = answer(server, [forbidden("/api/v1/nodes?")]).await;
    let why =
        "nodes may not be listed, and nodes.oldestKubelet allows kubelet 1.28.0; native sidecars need 1.29";
    assert_eq!(followed.no().await, why);
    let _server = answer(server, [list(&[node("a", "v1.36.3", "linux")])]).await;
    followed
        .native(|native| native.to_string().starts_with("no: nodes.oldestKubelet allows kubelet 1.28.0"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn windows_does_not_count_and_what_cannot_be_read_is_not_trusted() {
    let (mut followed, server) = follow(&config::Nodes::default());
    let windows = node("windows", "v1.26.0", "windows");
    let answers =
        [list(&[node("a", "v1.36.3", "linux"), windows]), watched("ADDED", &node("b", "dev", "linux"))];
    let server = answer(server, answers).await;
    let native = followed
        .native(|native| matches!(native, Support::Unknown(_)) && native.to_string().contains('b'))
        .await;
    assert_eq!(native.to_string(), "unknown: node b tells no version of its kubelet that can be read");
    // One that cannot is worth more than one that cannot be read.
    let _server = answer(server, [watched("ADDED", &node("c", "v1.28.0", "linux"))]).await;
    assert!(followed.no().await.starts_with("node c "));
}

#[tokio::test(start_paused = true)]
async fn only_selected_nodes_are_asked_for() {
    let selected = config::Nodes { selector: Some("type!=virtual-kubelet".into()), oldest_kubelet: None };
    let (followed, mut server) = follow(&selected);
    let (request, _send) = server.next_request().await.expect("a request");
    let uri = request.uri().to_string();
    assert!(uri.contains("labelSelector=type%21%3Dvirtual-kubelet") && uri.contains("limit=16"), "{uri}");
    drop(followed);
}
