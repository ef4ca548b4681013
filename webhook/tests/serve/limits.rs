//! Clients that take more than their share.

use crate::client::{eventually, head, read_to_end, request, start, trivial, write};
use curfew::serve::{Admit, Answer, Config, Limits};
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

/// A long body, and all there is room for.
const LONG: usize = 100;

/// Room for one long body, to be had for as long as any test takes.
fn cramped(config: &mut Config) {
    let patience = Duration::from_secs(60);
    config.limits = Limits {
        body: patience,
        room: patience,
        body_bytes: LONG,
        free_bytes: LONG / 10,
        long_bytes: LONG,
        ..config.limits
    };
}

fn of(length: usize) -> axum::http::Request<http_body_util::Full<hyper::body::Bytes>> {
    request("POST", "/mutate", Some("application/json"), "x".repeat(length))
}

#[tokio::test]
async fn a_long_body_waits_for_another_to_be_answered_and_short_ones_for_nobody() {
    let server = start(trivial, cramped).await;
    let mut slow = server.raw().await;
    let (begun, rest) = (LONG / 2, LONG - LONG / 2);
    write(&mut slow, &head(LONG).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    write(&mut slow, &"x".repeat(begun)).await;
    tokio::time::sleep(SHORT).await;

    let mut connection = server.connect().await;
    let mut waiting = Box::pin(connection.send(of(LONG)));
    assert!(timeout(SHORT * 2, &mut waiting).await.is_err(), "more is held than there is room for");
    assert_eq!(server.connect().await.review("{}").await.text, "{\"got\":2}");

    write(&mut slow, &"x".repeat(rest)).await;
    assert!(read_to_end(&mut slow).await.ends_with("{\"got\":100}"));
    assert_eq!(eventually("room", waiting).await.text, "{\"got\":100}");
}

#[tokio::test]
async fn who_announces_a_long_body_and_sends_little_of_it_keeps_nobody_waiting() {
    let server = start(trivial, cramped).await;
    let mut slow = server.raw().await;
    write(&mut slow, &format!("{}begun", head(LONG))).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(server.connect().await.send(of(LONG)).await.text, "{\"got\":100}");
}

#[tokio::test]
async fn a_body_for_which_there_is_no_room_in_time_is_told_so_and_may_come_again() {
    /// Never done with a long body.
    struct Stuck;

    impl Admit for Stuck {
        fn review<'a>(&'a self, body: &'a [u8]) -> futures_util::future::BoxFuture<'a, Answer> {
            Box::pin(
                async move { if body.len() < LONG { trivial(body) } else { std::future::pending().await } },
            )
        }
    }

    let server = start(Stuck, |config| {
        cramped(config);
        config.limits.room = SHORT * 3;
    })
    .await;
    let mut first = server.raw().await;
    write(&mut first, &format!("{}{}", head(LONG), "x".repeat(LONG))).await;
    tokio::time::sleep(SHORT).await;
    let mut second = server.connect().await;
    let reply = second.send(of(LONG)).await;
    let told = "no room for this body within 300ms: other long ones take it; send it again\n";
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (503, told));
    server.metric_becomes("curfew_requests_rejected_total{reason=\"busy\"}", "1").await;
    // Who goes gives the room back.
    drop(first);
    let answered = async { while second.send(of(LONG / 2)).await.status != 200 {} };
    eventually("room", answered).await;
}
