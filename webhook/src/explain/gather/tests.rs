use http::{Response, StatusCode};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::{
    plan::{Kubelets, Namespace},
    watch::mock::{Server, answer, client},
};

/// A namespace with this label, at noon after the pods of these tests ended.
pub(in crate::explain) fn around(label: Option<&str>) -> Surroundings {
    Surroundings {
        config: Config::builtin().expect("rows"),
        namespace: Namespace::default(),
        label: label.map(str::to_owned),
        left_out_by: None,
        unread: None,
        kubelets: Kubelets::default(),
        now: "2026-01-01T12:00:00Z".parse().expect("a time"),
    }
}

/// Answers by path, without its query; what has no answer is forbidden.
async fn serve(mut server: Server, answers: Vec<(String, StatusCode, String)>) {
    while let Some((request, send)) = server.next_request().await {
        let path = request.uri().path().to_owned();
        let found = answers.iter().find(|(known, ..)| *known == path);
        let (status, body) = match found {
            Some((_, status, body)) => (*status, body.clone()),
            None => {
                let message =
                    format!("User \"me\" cannot get resource \"services/proxy\" or whatever {path} is");
                (
                    StatusCode::FORBIDDEN,
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "reason": "Forbidden", "message": message, "code": 403})
                    .to_string(),
                )
            }
        };
        send.send_response(
            Response::builder().status(status).body(Body::from(body.into_bytes())).expect("a response"),
        );
    }
}

fn cluster(client: Client) -> Cluster {
    Cluster::new(&rescue::Cluster::new(client))
}

fn failure(code: u16, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code}).to_string()
}

async fn explained(target: &str, answers: Vec<(&str, StatusCode, String)>) -> Result<Explanation, Denied> {
    let (client, server) = client();
    let answers = answers.into_iter().map(|(path, status, body)| (path.to_owned(), status, body)).collect();
    let serving = tokio::spawn(serve(server, answers));
    let told = cluster(client).explain(&target.parse().expect("a target"), "load", &around(None)).await;
    serving.abort();
    told
}

fn said(told: &Explanation, about: About) -> Vec<&str> {
    told.lines.iter().filter(|line| line.about == about).map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_said_by_name() {
    let gone = vec![("/api/v1/namespaces/load/pods/a", StatusCode::NOT_FOUND, failure(404, "no"))];
    assert_eq!(explained("pod/a", gone).await.expect_err("gone").to_string(), "pod load/a is not there");
    let denied = explained("job/a", vec![]).await.expect_err("denied").to_string();
    assert!(denied.contains("get jobs in namespace load"), "{denied}");
}

#[tokio::test]
async fn a_job_without_a_pod_hangs_where_its_pod_would_be_left_to() {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "load", "name": "a"},
        "spec": {"suspend": true, "template": template}});
    for (strategy, hangs) in [("leave", true), ("native", false)] {
        let status = json!({"strategy": strategy, "reason": "because"}).to_string();
        let made = json!({"metadata": {"annotations": {"curfew.dev/status": status}}}).to_string();
        let list = json!({"items": []}).to_string();
        let (client, mut server) = client();
        let answer = async {
            while let Some((request, send)) = server.next_request().await {
                let answer = match (request.method().as_str(), request.uri().path()) {
                    ("POST", _) => made.clone(),
                    (_, path) if path.ends_with("/jobs/a") => job.to_string(),
                    _ => list.clone(),
                };
                send.send_response(Response::new(Body::from(answer.into_bytes())));
            }
        };
        let (cluster, around) = (cluster(client), around(Some("enabled")));
        let target = "job/a".parse().expect("a target");
        let told = tokio::select! {
            told = cluster.explain(&target, "load", &around) => told.expect("an explanation"),
            () = answer => panic!("nobody asks"),
        };
        assert_eq!(told.hangs, hangs, "{told:?}");
        assert_eq!(said(&told, About::Would), [format!("{strategy}: because")]);
    }
}

#[tokio::test]
async fn a_runner_is_asked_through_the_api_server_and_a_reset_is_told_as_what_the_operator_meets() {
    let list = |items: serde_json::Value| json!({"items": items}).to_string();
    let labels = json!({"app": "k6", "k6_cr": "run", "runner": "true", "job-name": "run-1"});
    let pod = json!({"metadata": {"namespace": "load", "name": "run-1-x", "labels": labels}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "k6"}]}, "status": {"phase": "Running", "containerStatuses": [{"name": "k6", "state": {"running": {}}}]}});
    let run = json!({"metadata": {"namespace": "load", "name": "run"}, "spec": {"parallelism": 1}, "status": {"stage": "created"}});
    let base = "/api/v1/namespaces/load";
    let service = format!("{base}/services/http:run-service-1:6565/proxy/v1/status");
    let reset = failure(503, "error trying to reach service: read: connection reset by peer");
    let answers = vec![
        ("/apis/k6.io/v1alpha1/namespaces/load/testruns/run".to_owned(), StatusCode::OK, run.to_string()),
        ("/apis/batch/v1/namespaces/load/jobs".to_owned(), StatusCode::OK, list(json!([]))),
        (format!("{base}/pods"), StatusCode::OK, list(json!([pod]))),
        (format!("{base}/services"), StatusCode::OK, list(json!([{"metadata": {"name": "run-service-1"}}]))),
        (service.clone(), StatusCode::SERVICE_UNAVAILABLE, reset),
    ];
    let with = |answers: &[(String, StatusCode, String)]| {
        answers.iter().map(|(path, status, body)| (path.clone(), *status, body.clone())).collect::<Vec<_>>()
    };
    let ask = async |answers: Vec<(String, StatusCode, String)>| {
        let answers: Vec<_> =
            answers.iter().map(|(path, status, body)| (path.as_str(), *status, body.clone())).collect();
        explained("testrun/run", answers).await.expect("an explanation")
    };
    let told = ask(with(&answers)).await;
    assert!(told.hangs && said(&told, About::Why)[0].contains("connection reset by peer"), "{told:?}");
    let mut up = with(&answers);
    up[4] = (service, StatusCode::OK, json!({"data": {"attributes": {"paused": true}}}).to_string());
    assert!(!ask(up).await.hangs);
    // Who may not ask knows nothing of it.
    let told = ask(with(&answers[..4])).await;
    assert!(!told.hangs && told.lines.iter().any(|line| line.text.contains("STRICT")), "{told:?}");
    // Nor is it known of what the API server does not reach.
    let mut apart = with(&answers);
    apart[4].2 = failure(503, "error trying to reach service: dial tcp 10.0.0.1:6565: i/o timeout");
    let told = ask(apart).await;
    assert!(!told.hangs && said(&told, About::Unseen)[0].contains("does not get there"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn runners_are_asked_at_once_and_one_that_keeps_silent_refuses_nothing() {
    let (client, mut server) = client();
    let services: Vec<_> =
        (0..40).map(|number| json!({"metadata": {"name": format!("s-{number}")}})).collect();
    let run =
        json!({"metadata": {"namespace": "load", "name": "run"}, "spec": {}, "status": {"stage": "created"}});
    let serving = tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Some((request, send)) = server.next_request().await {
            let answer = match request.uri().path() {
                path if path.contains("/proxy/") => {
                    silent.push(send);
                    continue;
                }
                path if path.ends_with("/testruns/run") => run.clone(),
                path if path.ends_with("/services") => json!({"items": services}),
                _ => json!({"items": []}),
            };
            send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        }
    });
    let start = tokio::time::Instant::now();
    let run = cluster(client).testrun("load", "run").await.expect("a run");
    serving.abort();
    assert!(start.elapsed() < Duration::from_secs(16), "{:?}", start.elapsed());
    let names: Vec<_> = run.services.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, (0..40).map(|number| format!("s-{number}")).collect::<Vec<_>>());
    assert!(
        run.services
            .iter()
            .all(|(_, answer)| answer.as_ref().is_err_and(|why| why.0.contains("no answer within 5 s")))
    );
}

#[tokio::test]
async fn the_namespace_the_nodes_and_the_webhook_configuration_say_what_goes_for_its_pods() {
    let list = |items: serde_json::Value| json!({"metadata": {}, "items": items});
    let namespace = json!({"metadata": {"name": "load", "labels": {"curfew.dev/inject": "enabled"}}});
    let surroundings = async |excluded: &str| {
        let selector = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [excluded]}]});
        let hook = json!({"name": "namespaces.curfew.dev", "clientConfig": {}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "namespaceSelector": selector,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]});
        let answers = [
            ("/api/v1/namespaces/load", StatusCode::OK, namespace.clone()),
            ("/api/v1/nodes?&labelSelector=pool%3Djobs", StatusCode::OK, list(json!([]))),
            (
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                StatusCode::OK,
                list(json!([{"metadata": {"name": "00-curfew"}, "webhooks": [hook]}])),
            ),
        ];
        let config = Config::parse("nodes: {selector: pool=jobs}", "f").expect("valid");
        let (client, server) = client();
        let cluster = cluster(client);
        tokio::join!(cluster.surroundings("load", config), answer(server, answers)).0
    };
    let pod = json!({"metadata": {}, "spec": {"restartPolicy": "Never"}});
    assert_eq!(surroundings("kube-system").await.asked(&pod, "load"), Ok(()));
    let (why, _) = surroundings("load").await.asked(&pod, "load").expect_err("it is left out");
    assert!(why.contains("00-curfew leaves namespace load out"), "{why}");
}
