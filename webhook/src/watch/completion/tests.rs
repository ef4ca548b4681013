//! The watch beside an API server that answers as a test tells it.

mod breaks;
mod marks;
mod words;

use std::collections::VecDeque;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_test::mock::SendResponse;

use super::*;
use crate::watch::mock::{Server, client};

const PODS: &str = "/api/v1/pods?";
const OWN: &str = "/api/v1/namespaces/curfew/pods?";
const EVENTS: &str = "/api/v1/namespaces/n/events";
/// Why pods are left whose owner ends the sidecars.
const ARGO: &str = "Argo Workflows ends them";

/// A pod with a reaper whose main has exited 0 and whose sidecar runs.
pub(super) fn pod(name: &str, namespace: &str) -> Value {
    let status = json!({"version": "1", "strategy": "reaper", "reason": "",
                        "containers": {"main": "main", "linkerd-proxy": "classic sidecar linkerd"}});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-of-{name}"), "resourceVersion": "8",
                     "labels": {"curfew.dev/applied": "reaper", "curfew.dev/reaper": "true"},
                     "annotations": {"curfew.dev/status": status.to_string()}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main"}, {"name": "linkerd-proxy"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "main", "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:00:00Z"}}},
            {"name": "linkerd-proxy", "state": {"running": {}}}]},
    })
}

/// The same, its main still at work.
pub(super) fn at_work(name: &str) -> Value {
    let mut pod = pod(name, "n");
    pod["status"]["containerStatuses"][0]["state"] = json!({"running": {}});
    pod
}

fn told(name: &str) -> Value {
    let mut pod = pod(name, "n");
    pod["metadata"]["annotations"]["curfew.dev/done"] = pod["metadata"]["uid"].clone();
    pod
}

/// A watch at work, and its API server. Time is each test's own: it passes as soon as everybody waits.
struct World {
    server: Server,
    /// Requests that came before the one that was waited for.
    early: VecDeque<Asked>,
    registry: Registry,
    watched: Watched,
    watch: JoinHandle<()>,
}

struct Asked {
    method: Method,
    uri: String,
    body: Value,
    send: SendResponse<Response<Body>>,
}

impl World {
    /// Started by a runtime of its own thread.
    fn new(own: Option<Own>) -> Self {
        let (client, server) = client();
        let mut registry = Registry::default();
        let watched = Watched::new(true);
        let completion = Completion::new(client, own, [ARGO.to_owned()], watched.clone(), &mut registry);
        let watch = tokio::spawn(completion.run(None));
        Self { server, early: VecDeque::new(), registry, watched, watch }
    }

    /// The next request of this kind; others are kept for later.
    async fn asked(&mut self, method: Method, path: &str, part: &str) -> Asked {
        let is_it =
            |asked: &Asked| asked.method == method && asked.uri.starts_with(path) && asked.uri.contains(part);
        if let Some(at) = self.early.iter().position(is_it) {
            return self.early.remove(at).expect("just found");
        }
        loop {
            let asked = self.next().await;
            if is_it(&asked) {
                return asked;
            }
            self.early.push_back(asked);
        }
    }

    async fn next(&mut self) -> Asked {
        let (request, send): (Request<Body>, _) = self.server.next_request().await.expect("a request");
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Asked { method: parts.method, uri: parts.uri.to_string(), body, send }
    }

    /// Answers the next list with these pods.
    async fn lists(&mut self, pods: &[Value]) {
        let asked = self.asked(Method::GET, PODS, "limit=").await;
        for part in
            ["spec.restartPolicy%21%3DAlways%2Cstatus.phase%3DRunning", "curfew.dev%2Fapplied+in+%28await%2C"]
        {
            assert!(asked.uri.contains(part), "{part} in {}", asked.uri);
        }
        asked.answer(StatusCode::OK, list(pods));
    }

    /// Tells of one event and ends the watch, so that the next is asked for.
    async fn tells(&mut self, kind: &str, object: &Value) {
        let watch = self.asked(Method::GET, PODS, "watch=true").await;
        watch.answer(StatusCode::OK, json!({"type": kind, "object": object}));
    }

    /// The patch of this pod, which names its UID and nothing else.
    async fn marks(&mut self, name: &str) -> Asked {
        let asked = self.asked(Method::PATCH, &format!("/api/v1/namespaces/n/pods/{name}/status?"), "").await;
        let uid = format!("uid-of-{name}");
        assert_eq!(asked.body, json!({"metadata": {"uid": uid, "annotations": {"curfew.dev/done": uid}}}));
        asked
    }

    /// The value of one series.
    fn metric(&self, series: &str) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).expect("a page");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} in {page}")).to_owned()
    }

    async fn until(&self, series: &str, value: &str) {
        let start = Instant::now();
        while self.metric(series) != value {
            assert!(start.elapsed().as_secs() < 600, "{series} is {}, not {value}", self.metric(series));
            sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Asked {
    fn answer(self, status: StatusCode, body: Value) {
        let body = Body::from(format!("{body}\n").into_bytes());
        self.send.send_response(Response::builder().status(status).body(body).expect("a response"));
    }

    fn refuse(self, code: u16, reason: &str, details: Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": "no", "code": code, "details": details});
        self.answer(StatusCode::from_u16(code).expect("a code"), status);
    }
}

fn list(pods: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": pods})
}
