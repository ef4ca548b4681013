use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use super::*;

/// An API server that answers with these in turn, and with the last of them from then on.
fn server(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let answers = answers.iter().chain(std::iter::repeat(&answers[answers.len() - 1]));
        for (mut stream, answer) in listener.incoming().flatten().zip(answers) {
            let _request = stream.read(&mut [0; 4096]);
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _told = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// As a kubeconfig names it.
async fn connected(answers: &'static [&'static str]) -> Cluster {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let url = format!("http://{}", server(answers));
    let text = json!({"clusters": [{"name": "a", "cluster": {"server": url}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "users": [{"name": "a", "user": {}}],
        "current-context": "a"});
    std::fs::write(&file, text.to_string()).expect("writes");
    Cluster::connect(Some(file.path()), None).await.expect("a cluster").0
}

#[tokio::test]
async fn an_api_server_that_is_busy_is_asked_again() {
    let cluster =
        connected(&["429 Too Many Requests\r\nRetry-After: 1", "503 Service Unavailable", "200 OK"]).await;
    cluster.pod("load", "a").await.expect("a pod, in the end");
}

#[tokio::test]
async fn a_refusal_is_told_at_once_to_whoever_asks_once() {
    let once = connected(&["503 Service Unavailable"]).await.once();
    let request = http::Request::get("/").body(Vec::new()).expect("a request");
    let answer = tokio::time::timeout(Duration::from_secs(5), once.request_text(request)).await;
    let error = answer.expect("an answer in time").expect_err("a refusal").to_string();
    assert!(error.contains("503") || error.contains("Unavailable"), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_that_is_broken_is_named_and_never_quoted() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "users:\n- name: me\n  user: {token: s3cret\ncontexts: []\n").expect("writes");
    let Err(error) = Cluster::connect(Some(file.path()), None).await else { panic!("it is no YAML") };
    let told = format!("{error:#}");
    assert!(told.contains(&file.path().display().to_string()), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}
