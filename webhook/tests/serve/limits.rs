//! Clients that take more than their share.

use crate::client::{eventually, head, read_to_end, start, trivial, write};
use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_handshake_that_stalls_is_cut() {
    let server = start(trivial, |config| config.limits.handshake = SHORT).await;
    let mut silent = TcpStream::connect(server.webhook).await.unwrap();
    let mut begun = TcpStream::connect(server.webhook).await.unwrap();
    // The first bytes of a client hello, and no more.
    write(&mut begun, "\x16\x03\x01\x02\x00\x01").await;
    for stream in [&mut silent, &mut begun] {
        assert_eq!(read_to_end(stream).await, "");
    }
    server.metric_becomes("curfew_tls_handshake_failures_total{reason=\"timeout\"}", "2").await;
    server.metric_becomes("curfew_connections", "0").await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut() {
    let server = start(trivial, |config| config.limits.header = SHORT).await;
    let mut stream = server.raw().await;
    let cut = async {
        // One header line after the other, each well within the time a head may take.
        write(&mut stream, "POST /mutate HTTP/1.1\r\n").await;
        while write(&mut stream, "x-slow: 1\r\n").await {
            tokio::time::sleep(SHORT / 4).await;
        }
    };
    eventually("a closed connection", cut).await;
    server.metric_becomes("curfew_requests_rejected_total{reason=\"header_timeout\"}", "1").await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_cut() {
    let server = start(trivial, |config| config.limits.header = SHORT).await;
    assert_eq!(read_to_end(&mut server.raw().await).await, "");
    server.metric_becomes("curfew_connections", "0").await;
}

#[tokio::test]
async fn the_head_of_a_second_request_is_timed_too() {
    let server = start(trivial, |config| config.limits.header = SHORT).await;
    let mut stream = server.raw().await;
    write(&mut stream, &format!("{}{{}}", head(2))).await;
    let mut reply = Vec::new();
    while !reply.ends_with(b"{\"got\":2}") {
        reply.push(eventually("an answer", stream.read_u8()).await.unwrap());
    }
    write(&mut stream, "POST /mut").await;
    assert_eq!(read_to_end(&mut stream).await, "");
    server.metric_becomes("curfew_requests_rejected_total{reason=\"header_timeout\"}", "1").await;
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed_and_nobody_is_blamed() {
    let server = start(trivial, |config| config.limits.idle = SHORT).await;
    let mut connection = server.connect().await;
    connection.review("{}").await;
    connection.closed().await;
    server.metric_becomes("curfew_connections", "0").await;
    let blamed = server.metric("curfew_requests_rejected_total{reason=\"header_timeout\"}").await;
    assert_eq!(blamed.as_deref(), Some("0"));
}

#[tokio::test]
async fn at_the_limit_a_connection_waits_for_another_to_end() {
    let server = start(trivial, |config| config.limits.connections = 2).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.review("{}").await;
    second.review("{}").await;

    let mut third = Box::pin(server.connect());
    assert!(timeout(SHORT * 2, &mut third).await.is_err(), "accepted beyond the limit");
    assert_eq!(server.metric("curfew_connections").await.as_deref(), Some("2"));

    drop(first);
    let mut third = eventually("the third connection", third).await;
    assert_eq!(third.review("{}").await.text, "{\"got\":2}");
    assert_eq!(second.review("{}").await.text, "{\"got\":2}");
}
