use std::sync::{Arc, Mutex};

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::{
    rescue::cluster::Scope,
    watch::mock::{Server, client},
};

/// A pod on an API server of the test's own: what it says of itself, and how it takes changes.
#[derive(Clone, Default)]
struct Fake {
    /// What was asked: method, path and body.
    asked: Arc<Mutex<Vec<(Method, String, Value)>>>,
    /// The pod is over once its image was swapped.
    obliging: bool,
    /// Its container does not run.
    held_up: bool,
    /// The UID it has by now.
    uid: &'static str,
    /// Requests that are not allowed, by the end of their path.
    forbidden: &'static [&'static str],
}

impl Fake {
    fn answer(&self, method: &Method, path: &str) -> (StatusCode, Value) {
        if self.forbidden.iter().any(|end| path.ends_with(end) || *end == method.as_str()) {
            let message = format!("cannot {method} {path}");
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                "reason": "Forbidden", "message": message, "code": 403});
            return (StatusCode::FORBIDDEN, status);
        }
        let swapped = self.asked.lock().expect("no panic").iter().any(|(method, ..)| method == Method::PATCH);
        let phase = if swapped && self.obliging { "Succeeded" } else { "Running" };
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
        let state = if swapped || self.held_up { waiting } else { json!({"running": {}}) };
        let pod = json!({"metadata": {"namespace": "ns", "name": "pod", "uid": self.uid},
            "status": {"phase": phase, "containerStatuses": [{"name": "proxy", "state": state}]}});
        (StatusCode::OK, pod)
    }

    async fn serve(self, mut server: Server) {
        while let Some((request, send)) = server.next_request().await {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let path = parts.uri.path().to_owned();
            let (status, answer) = self.answer(&parts.method, &path);
            self.asked.lock().expect("no panic").push((parts.method, path, body));
            let answer = Body::from(answer.to_string().into_bytes());
            send.send_response(Response::builder().status(status).body(answer).expect("a response"));
        }
    }
}

fn hanging(kind: Kind) -> Hanging {
    let holder = Holder { container: "proxy".to_owned(), kind, no_swap: None };
    Hanging {
        namespace: "ns".to_owned(),
        pod: "pod".to_owned(),
        uid: "u".to_owned(),
        since: None,
        left: None,
        sidecars: vec![holder],
        swap_counts_as_restart: false,
        restarts: 0,
        job: None,
        backoff_limit: None,
    }
}

fn sidecar(endpoint: Option<&str>) -> Kind {
    Kind::Sidecar { row: "row".to_owned(), endpoint: endpoint.map(str::to_owned), no_endpoint: None }
}

fn reaper(told: bool, waits: Option<&str>) -> Kind {
    Kind::Reaper { told, waits: waits.map(str::to_owned) }
}

async fn released(fake: &Fake, pod: &Hanging) -> Outcome {
    let (client, server) = client();
    let serving = tokio::spawn(fake.clone().serve(server));
    let outcome = release(&Cluster::new(client), pod, "noop:1", Duration::ZERO).await;
    serving.abort();
    outcome
}

fn patches(fake: &Fake) -> Vec<Value> {
    let asked = fake.asked.lock().expect("no panic");
    asked.iter().filter(|(method, ..)| method == Method::PATCH).map(|(.., body)| body.clone()).collect()
}

#[tokio::test]
async fn a_sidecar_without_an_endpoint_gets_another_image_by_its_name_and_the_pods_uid() {
    let fake = Fake { obliging: true, uid: "u", ..Fake::default() };
    let outcome = released(&fake, &hanging(sidecar(None))).await;
    assert_eq!(outcome.ended.as_deref(), Some("Succeeded"));
    assert_eq!(outcome.did, ["proxy: image swapped"]);
    let spec = json!({"containers": [{"name": "proxy", "image": "noop:1"}]});
    assert_eq!(patches(&fake), [json!({"metadata": {"uid": "u"}, "spec": spec})]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_out_of_reach_is_passed_over_and_the_missing_right_named() {
    let fake = Fake { obliging: true, uid: "u", forbidden: &["/portforward"], ..Fake::default() };
    let outcome = released(&fake, &hanging(sidecar(Some("http://127.0.0.1:1/quit")))).await;
    assert_eq!(outcome.ended.as_deref(), Some("Succeeded"));
    assert_eq!(outcome.missing, ["create and get pods/portforward in namespace ns"]);
    assert!(outcome.did[0].contains("cannot GET /api/v1/namespaces/ns/pods/pod/portforward"), "{outcome:?}");
    assert_eq!(outcome.did[1], "proxy: image swapped");
    // It was not called, so it is not waited for.
    assert!(outcome.seconds < 1.0, "{outcome:?}");
}

#[tokio::test]
async fn without_the_right_to_patch_the_pod_still_hangs_and_the_right_is_named() {
    let fake = Fake { uid: "u", forbidden: &["PATCH"], ..Fake::default() };
    let outcome = released(&fake, &hanging(sidecar(None))).await;
    assert_eq!((outcome.ended, outcome.missing), (None, vec!["patch pods in namespace ns".to_owned()]));
}

#[tokio::test]
async fn an_image_that_does_not_come_is_told() {
    let fake = Fake { uid: "u", ..Fake::default() };
    let outcome = released(&fake, &hanging(sidecar(None))).await;
    assert_eq!(outcome.ended, None);
    assert_eq!(outcome.did, ["proxy: image swapped", "proxy: is in ImagePullBackOff"]);
}

#[tokio::test]
async fn a_reaper_is_told_what_nobody_told_it() {
    let fake = Fake { obliging: true, uid: "u", ..Fake::default() };
    let outcome = released(&fake, &hanging(reaper(false, None))).await;
    assert_eq!(outcome.did, ["proxy: told that the mains are done"]);
    let metadata = json!({"uid": "u", "annotations": {"curfew.dev/done": "u"}});
    assert_eq!(patches(&fake), [json!({"metadata": metadata})]);
}

#[tokio::test]
async fn a_reaper_that_was_told_is_waited_for_and_not_told_again() {
    let fake = Fake { uid: "u", ..Fake::default() };
    let outcome = released(&fake, &hanging(reaper(true, None))).await;
    assert_eq!(outcome.did, ["proxy: was told before", "proxy: still runs"]);
    assert_eq!(patches(&fake), [] as [Value; 0]);
}

#[tokio::test]
async fn a_reaper_that_does_not_run_gets_another_image_told_or_not() {
    for told in [true, false] {
        let fake = Fake { obliging: true, held_up: true, uid: "u", ..Fake::default() };
        let outcome = released(&fake, &hanging(reaper(told, Some("ImagePullBackOff")))).await;
        assert_eq!(outcome.ended.as_deref(), Some("Succeeded"));
        assert_eq!(outcome.did, ["proxy: image swapped"]);
        let spec = json!({"containers": [{"name": "proxy", "image": "noop:1"}]});
        assert_eq!(patches(&fake), [json!({"metadata": {"uid": "u"}, "spec": spec})]);
    }
}

#[tokio::test]
async fn a_reaper_that_runs_by_now_is_told_instead() {
    let fake = Fake { obliging: true, uid: "u", ..Fake::default() };
    let outcome = released(&fake, &hanging(reaper(false, Some("ImagePullBackOff")))).await;
    assert_eq!(outcome.did, ["proxy: told that the mains are done"]);
}

#[tokio::test]
async fn a_pod_made_anew_under_the_name_is_another_and_is_not_touched() {
    let fake = Fake { uid: "new", ..Fake::default() };
    let outcome = released(&fake, &hanging(sidecar(Some("http://127.0.0.1:1/quit")))).await;
    assert_eq!(outcome.ended.as_deref(), Some("gone"));
    let asked = fake.asked.lock().expect("no panic");
    let looked =
        |(method, path, _): &(Method, String, Value)| method == Method::GET && path.ends_with("/pods/pod");
    assert!(asked.iter().all(looked), "{asked:?}");
}

#[tokio::test]
async fn a_pod_of_which_one_container_would_stay_is_not_touched() {
    let fake = Fake { uid: "u", ..Fake::default() };
    let mut pod = hanging(sidecar(None));
    let stays = Holder {
        container: "stays".to_owned(),
        no_swap: Some("no such command".to_owned()),
        ..pod.sidecars[0].clone()
    };
    pod.sidecars.push(stays);
    let outcome = released(&fake, &pod).await;
    assert_eq!(outcome.ended, None);
    assert_eq!(outcome.did, ["stays: no such command; delete the pod, or its Job"]);
    assert!(fake.asked.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn the_limit_of_a_job_is_looked_up_once_and_where_it_counts() {
    let (client, mut server) = client();
    let of = |name: &str, policy: &str| {
        json!({"metadata": {"namespace": "ns", "name": name, "uid": name,
                            "ownerReferences": [{"kind": "Job", "name": "report", "controller": true}]},
            "spec": {"restartPolicy": policy, "containers": [
                {"name": "main"}, {"name": "linkerd-proxy", "image": "linkerd/proxy"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "main", "state": {"terminated": {"exitCode": 0}}},
                {"name": "linkerd-proxy", "state": {"running": {}}}]}})
    };
    let pods = json!({"items": [of("never", "Never"), of("first", "OnFailure"), of("second", "OnFailure")]});
    let job = json!({"metadata": {"name": "report"}, "spec": {"backoffLimit": 4, "template": {}}});
    let serving = tokio::spawn(async move {
        let mut jobs = 0;
        while let Some((request, send)) = server.next_request().await {
            let answer = match request.uri().path() {
                "/api/v1/namespaces/ns/pods" => &pods,
                "/apis/batch/v1/namespaces/ns/jobs/report" => {
                    jobs += 1;
                    &job
                }
                _ => &json!({"metadata": {"name": "ns"}}),
            };
            send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        }
        jobs
    });
    let (found, _) = find(client).await.expect("pods");
    let limits: Vec<_> = found.iter().map(|pod| (&*pod.pod, pod.backoff_limit)).collect();
    assert_eq!(limits, [("never", None), ("first", Some(4)), ("second", Some(4))]);
    assert_eq!(serving.await.expect("no panic"), 1, "one question about one Job");
}

/// Looks for pods that hang in the namespace `ns`, however short a time.
async fn find(client: kube::Client) -> Result<(Vec<Hanging>, Vec<String>), crate::rescue::cluster::Denied> {
    let config = crate::config::Config::builtin().expect("a configuration");
    let around = crate::rescue::Circumstances {
        config: &config,
        namespace: &crate::plan::Namespace::default(),
        now: crate::rescue::now(),
        older_than: Duration::ZERO,
        include_handled: false,
    };
    let scope = Scope { namespace: Some("ns".to_owned()), selector: None, pods: Vec::new() };
    Cluster::new(client).find(&scope, around).await
}

#[tokio::test]
async fn all_pods_that_are_not_over_are_looked_at_pending_ones_too() {
    let (client, mut server) = client();
    let serving = tokio::spawn(async move {
        let mut asked = String::new();
        while let Some((request, send)) = server.next_request().await {
            if request.uri().path().ends_with("/pods") {
                asked = request.uri().query().unwrap_or_default().to_owned();
            }
            let answer = json!({"metadata": {"name": "ns"}, "items": []});
            send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        }
        asked
    });
    assert_eq!(find(client).await.expect("pods"), (Vec::new(), Vec::new()));
    let asked = serving.await.expect("no panic");
    let fields = "status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed%2Cspec.restartPolicy%21%3DAlways";
    assert!(asked.contains(fields), "{asked}");
}

#[tokio::test]
async fn pods_that_may_not_be_listed_are_an_error_with_the_right() {
    let (client, server) = client();
    let fake = Fake { forbidden: &["/pods"], ..Fake::default() };
    let serving = tokio::spawn(fake.serve(server));
    let error = find(client).await.expect_err("forbidden");
    assert!(error.to_string().starts_with("needs the right to list pods in namespace ns: "), "{error}");
    serving.abort();
}
