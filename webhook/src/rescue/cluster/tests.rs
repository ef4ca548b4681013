use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use super::*;

/// An API server that is never ready for anybody.
fn unavailable() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _request = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _told = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn a_refusal_is_told_at_once_and_not_tried_again_behind_the_users_back() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = json!({"clusters": [{"name": "a", "cluster": {"server": format!("http://{}", unavailable())}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "users": [{"name": "a", "user": {}}],
        "current-context": "a"});
    std::fs::write(&file, text.to_string()).expect("writes");
    let (cluster, _) = Cluster::connect(Some(file.path()), None).await.expect("a cluster");
    let answer = tokio::time::timeout(Duration::from_secs(5), cluster.pod("load", "a")).await;
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
