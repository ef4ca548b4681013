use std::sync::{Arc, Mutex};

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::{
    check::{Severity, Unseen, judge},
    watch::mock::{Server, client},
};

/// Every request answered by its method and path; what has no answer is forbidden.
async fn serve(
    mut server: Server,
    answers: Vec<(&'static str, &'static str, Value)>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
) {
    while let Some((request, send)) = server.next_request().await {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let uri = parts.uri.to_string();
        asked
            .lock()
            .expect("no panic")
            .push((format!("{} {uri}", parts.method), serde_json::from_slice(&body).unwrap_or_default()));
        let found =
            answers.iter().find(|(method, path, _)| parts.method == *method && parts.uri.path() == *path);
        let (status, answer) = match found {
            Some((.., answer)) => (StatusCode::OK, answer.clone()),
            None => {
                let message = format!("User \"me\" cannot create resource \"pods\" or whatever {uri} is");
                let denied = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                    "reason": "Forbidden", "message": message, "code": 403});
                (StatusCode::FORBIDDEN, denied)
            }
        };
        let answer = Body::from(answer.to_string().into_bytes());
        send.send_response(Response::builder().status(status).body(answer).expect("a response"));
    }
}

async fn gathered(answers: Vec<(&'static str, &'static str, Value)>) -> (Facts, Vec<(String, Value)>) {
    let (client, server) = client();
    let asked = Arc::default();
    let serving = tokio::spawn(serve(server, answers, Arc::clone(&asked)));
    let facts = gather(&client, "curfew", "default").await.expect("facts");
    serving.abort();
    let asked = asked.lock().expect("no panic").clone();
    (facts, asked)
}

fn version() -> Value {
    json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": ""})
}

fn list(items: Value) -> Value {
    json!({"metadata": {}, "items": items})
}

#[tokio::test]
async fn who_may_nothing_is_told_of_each_right_and_nothing_is_taken_for_well() {
    let (facts, _) = gathered(vec![("GET", "/version", version())]).await;
    assert!(facts.is_blind());
    let findings = judge(&facts);
    let unseen: Vec<_> =
        findings.iter().filter(|finding| !finding.seen).map(|finding| finding.finding.as_str()).collect();
    for right in [
        "list mutatingwebhookconfigurations",
        "list deployments in namespace curfew",
        "list nodes",
        "list namespaces",
        "list pods",
    ] {
        assert!(
            unseen.iter().any(|text| text.contains(&format!("you need the right to {right}"))),
            "{right}: {unseen:?}"
        );
    }
    let well: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Ok).collect();
    assert!(well.iter().all(|finding| finding.finding.contains("API server is 1.36.3")), "{well:?}");
}

#[tokio::test]
async fn a_pod_is_tried_where_the_label_is_and_made_nowhere() {
    let namespaces = list(json!([
        {"metadata": {"name": "load", "labels": {"curfew.dev/inject": "enabled"}}},
        {"metadata": {"name": "curfew", "labels": {"curfew.dev/inject": "enabled"}}},
        {"metadata": {"name": "other"}},
    ]));
    let configuration = crate::check::tests::curfew("00-curfew", "curfew");
    let (facts, asked) = gathered(vec![
        ("GET", "/version", version()),
        ("GET", "/api/v1/namespaces", namespaces),
        (
            "GET",
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            list(json!([configuration])),
        ),
        (
            "POST",
            "/api/v1/namespaces/load/pods",
            json!({"metadata": {"annotations": {"curfew.dev/status": "{\"strategy\": \"none\"}"}}}),
        ),
    ])
    .await;
    assert_eq!(facts.probes.keys().collect::<Vec<_>>(), ["load"]);
    assert_eq!(facts.probes["load"].status().expect("a status").strategy, "none");
    let posts: Vec<_> = asked.iter().filter(|(request, _)| request.starts_with("POST")).collect();
    assert!(posts.len() == 1 && posts[0].0.contains("dryRun=All"), "{posts:?}");
    assert_eq!(posts[0].1["metadata"]["labels"]["curfew.dev/inject"], "enabled");
}

#[tokio::test]
async fn where_none_has_the_label_ones_own_namespace_is_tried_unless_it_opts_out() {
    for (labels, tried) in [(json!({}), 1), (json!({"curfew.dev/inject": "disabled"}), 0)] {
        let own = json!({"metadata": {"name": "default", "labels": labels}});
        let (facts, _) =
            gathered(vec![("GET", "/version", version()), ("GET", "/api/v1/namespaces", list(json!([own])))])
                .await;
        assert_eq!(facts.probes.len(), tried);
    }
}

#[tokio::test]
async fn nodes_and_pull_secrets_are_those_that_the_configuration_names() {
    let config = "{nodes: {selector: type!=virtual-kubelet}, reaper: {imagePullSecrets: [mirror]}}";
    let load = json!({"metadata": {"name": "load", "labels": {"curfew.dev/inject": "enabled"}}});
    let batch = json!({"metadata": {"name": "batch", "labels": {"curfew.dev/inject": "enabled"}}});
    let (facts, asked) = gathered(vec![
        ("GET", "/version", version()),
        ("GET", "/apis/apps/v1/deployments", list(json!([crate::check::tests::deployment("curfew", 2)]))),
        (
            "GET",
            "/api/v1/namespaces/curfew/configmaps/curfew",
            json!({"metadata": {"name": "curfew"}, "data": {"config.yaml": config}}),
        ),
        ("GET", "/api/v1/namespaces", list(json!([load, batch]))),
        ("GET", "/api/v1/nodes", list(json!([]))),
        ("GET", "/api/v1/namespaces/load/secrets/mirror", json!({"metadata": {"name": "mirror"}})),
    ])
    .await;
    let nodes = asked.iter().find(|(request, _)| request.starts_with("GET /api/v1/nodes")).expect("a list");
    assert!(nodes.0.contains("labelSelector=type%21%3Dvirtual-kubelet"), "{}", nodes.0);
    assert!(facts.nodes.is_ok());
    let held = |namespace: &str| facts.pull_secrets[&(namespace.to_owned(), "mirror".to_owned())].clone();
    assert_eq!(held("load"), Ok(true));
    let Unseen(why) = held("batch").expect_err("forbidden");
    assert!(why.contains("get secrets in namespace batch"), "{why}");
}

#[tokio::test]
async fn a_right_in_every_namespace_that_opted_in_is_as_good_as_one_everywhere() {
    let container = json!({"name": "webhook", "args": ["serve"]});
    let deployment = json!({"metadata": {"namespace": "curfew", "name": "curfew"},
        "spec": {"selector": {}, "template": {"spec": {"containers": [container]}}}});
    let load = json!({"metadata": {"name": "load", "labels": {"curfew.dev/inject": "enabled"}}});
    let (client, mut server) = client();
    let serving = tokio::spawn(async move {
        while let Some((request, send)) = server.next_request().await {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let answer = match parts.uri.path() {
                "/version" => version(),
                "/apis/apps/v1/deployments" => list(json!([deployment])),
                "/api/v1/namespaces" => list(json!([load])),
                "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                    let of = &body["spec"]["resourceAttributes"];
                    let allowed =
                        of["namespace"] == "load" && (of["resource"] != "namespaces" || of["verb"] == "get");
                    json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}})
                }
                _ => list(json!([])),
            };
            send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        }
    });
    let facts = gather(&client, "curfew", "default").await.expect("facts");
    serving.abort();
    let may = |resource: &str| {
        facts.rights.iter().filter(|(right, _)| right.resource == resource).all(|(_, may)| *may == Ok(true))
    };
    assert!(may("namespaces") && may("pods") && may("pods/status") && !may("nodes"), "{:?}", facts.rights);
}

#[tokio::test]
async fn a_private_key_never_gets_into_the_facts() {
    use k8s_openapi::ByteString;
    let container = json!({"name": "webhook", "args": ["serve", "--tls-secret=curfew-ca"]});
    let deployment = json!({"metadata": {"namespace": "curfew", "name": "curfew"},
        "spec": {"selector": {}, "template": {"spec": {"serviceAccountName": "own", "containers": [container]}}}});
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n";
    let secret =
        json!({"metadata": {"name": "curfew-ca"}, "data": {"any.pem": ByteString(pem.as_bytes().to_vec())}});
    let (facts, asked) = gathered(vec![
        ("GET", "/version", version()),
        ("GET", "/apis/apps/v1/deployments", list(json!([deployment]))),
        ("GET", "/api/v1/namespaces/curfew/secrets/curfew-ca", secret),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            json!({"metadata": {}, "spec": {}, "status": {"allowed": true}}),
        ),
    ])
    .await;
    let told = facts.secrets["curfew-ca"].clone().expect("seen").expect("there");
    assert!(told.contains("MIIB") && !told.contains("s3cret"), "{told}");
    assert!(facts.rights.len() > 10 && facts.rights.iter().all(|(_, may)| *may == Ok(true)));
    let review =
        asked.iter().find(|(request, _)| request.contains("subjectaccessreviews")).expect("a review");
    assert_eq!(review.1["spec"]["user"], "system:serviceaccount:curfew:own");
}
