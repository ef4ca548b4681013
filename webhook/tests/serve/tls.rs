//! Handshakes, and the certificates they are about.

use crate::client::{PATIENCE, read_to_end, start, start_as, trivial, write};
use curfew::serve::{Config, Identity, Reviews, Server, Signals};
use curfew_certs::{Files, issue, issue::Issued};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::net::TcpStream;

fn issued() -> Issued {
    issue::self_signed(&["localhost".parse().unwrap()], SystemTime::now()).unwrap()
}

fn write_pair(dir: &Path, pair: &Issued) -> Files {
    let files = Files { cert: dir.join("tls.crt"), key: dir.join("tls.key") };
    fs::write(&files.cert, &pair.chain_pem).unwrap();
    fs::write(&files.key, &pair.key_pem).unwrap();
    files
}

#[tokio::test]
async fn plain_http_is_no_handshake() {
    let server = start(trivial, |_| {}).await;
    let mut stream = TcpStream::connect(server.webhook).await.unwrap();
    write(&mut stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    server.metric_becomes("curfew_tls_handshake_failures_total{reason=\"protocol\"}", "1").await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_counted_apart() {
    let server = start(trivial, |_| {}).await;
    assert!(server.raw_with(&issued().ca_pem, &[]).await.is_err());
    server.metric_becomes("curfew_tls_handshake_failures_total{reason=\"refused_by_client\"}", "1").await;
}

#[tokio::test]
async fn a_probe_that_only_connects_is_counted_apart() {
    let server = start(trivial, |_| {}).await;
    drop(TcpStream::connect(server.webhook).await.unwrap());
    server.metric_becomes("curfew_tls_handshake_failures_total{reason=\"closed\"}", "1").await;
}

#[tokio::test]
async fn http_1_1_is_all_that_is_spoken() {
    let server = start(trivial, |_| {}).await;
    let ca = server.ca.clone().unwrap();
    let stream = server.raw_with(&ca, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(server.raw_with(&ca, &["h2"]).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart_and_standing_connections_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (issued(), issued());
    let files = write_pair(dir.path(), &first);
    let often = |config: &mut Config| config.reload_every = Duration::from_millis(10);
    let mut server = start_as(Identity::Files(files), trivial, often).await;
    server.ca = Some(first.ca_pem);
    let mut standing = server.connect().await;
    standing.review("{}").await;

    write_pair(dir.path(), &second);
    let renewed = async {
        while server.raw_with(&second.ca_pem, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    crate::client::eventually("the new certificate", renewed).await;
    assert_eq!(standing.review("{}").await.text, "{\"got\":2}");
}

#[test]
fn a_reloader_that_breaks_down_ends_the_server_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::Files(write_pair(dir.path(), &issued()));
    let free = "127.0.0.1:0".parse().unwrap();
    let config = Config { listen: free, admin_listen: free, ..Config::default() };
    // Without timers, who waits for a time panics.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
    let (ended_tx, ended) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let server =
            Server::bind(config, Some(Reviews { identity, admit: Arc::new(trivial) })).await.unwrap();
        let (_signals, received) = Signals::by_hand();
        let _ = ended_tx.send(server.run(received).await);
    });
    let error = ended.recv_timeout(PATIENCE).expect("the end of the server").unwrap_err().to_string();
    assert!(error.contains("broke down") && error.contains("timers are disabled"), "{error}");
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_start_that_cannot_work_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let free = "127.0.0.1:0".parse().unwrap();
    let own = Config { listen: free, admin_listen: free, ..Config::default() };
    let identity = Identity::SelfSigned(vec!["localhost".parse().unwrap()]);
    let missing = Files { cert: "/nowhere/tls.crt".into(), key: "/nowhere/tls.key".into() };
    for (config, identity, parts) in [
        // The certificate is looked at before the port is taken.
        (
            Config { listen: taken, ..own.clone() },
            Identity::Files(missing),
            ["--tls-cert", "/nowhere/tls.crt"],
        ),
        (Config { listen: taken, ..own.clone() }, identity.clone(), ["--listen", "in use"]),
        (Config { admin_listen: taken, ..own.clone() }, identity.clone(), ["--admin-listen", "in use"]),
        (
            Config { announce: Some("/nowhere/file".into()), ..own.clone() },
            identity,
            ["--announce", "/nowhere/file"],
        ),
        (own.clone(), Identity::SelfSigned(Vec::new()), ["--self-signed", "at least one name"]),
    ] {
        let reviews = Reviews { identity, admit: Arc::new(trivial) };
        let Err(error) = Server::bind(config, Some(reviews)).await else { panic!("{parts:?}") };
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn the_announced_addresses_and_ca_are_the_ones_that_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("announce.json");
    let mut server = start(trivial, |config| config.announce = Some(path.clone())).await;
    let told: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(told["webhook"], server.webhook.to_string());
    assert_eq!(told["admin"], server.admin.to_string());
    server.ca = told["ca"].as_str().map(str::to_owned);
    let mut stream = server.raw().await;
    write(&mut stream, "GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 404"));
}
