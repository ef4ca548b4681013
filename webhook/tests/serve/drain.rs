//! The end of the server.

use crate::client::{Running, eventually, head, read_to_end, start, trivial, write};
use curfew::serve::{Admit, Answer, Config, Ended, Server, Signals};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::Notify};

/// Longer than any test runs: what ends before has ended for another reason.
const LONG: Duration = Duration::from_secs(3600);

async fn unready(server: &Running) {
    let unready = async {
        while server.admin("/readyz").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    eventually("readiness off", unready).await;
}

fn long_delay(config: &mut Config) {
    config.drain_delay = LONG;
}

#[tokio::test]
async fn while_draining_it_is_not_ready_but_answers_and_asks_to_leave() {
    let server = start(trivial, long_delay).await;
    let mut standing = server.connect().await;
    assert_eq!(standing.review("{}").await.header("connection"), None);

    server.signal();
    unready(&server).await;
    assert_eq!(server.admin("/readyz").await.text, "not ready: draining\n");
    assert_eq!(server.admin("/healthz").await.status, 200);

    let reply = standing.review("{}").await;
    assert_eq!((reply.text.as_str(), reply.header("connection")), ("{\"got\":2}", Some("close")));
    standing.closed().await;
    // Endpoints may still lead here.
    let mut late = server.connect().await;
    let reply = late.review("{}").await;
    assert_eq!((reply.text.as_str(), reply.header("connection")), ("{\"got\":2}", Some("close")));
}

/// Answers when it is told to.
#[derive(Clone, Default)]
struct Held {
    asked: Arc<Notify>,
    go: Arc<Notify>,
}

impl Admit for Held {
    fn review<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Answer> {
        Box::pin(async {
            self.asked.notify_one();
            self.go.notified().await;
            trivial(body)
        })
    }
}

#[tokio::test]
async fn an_answer_asks_to_leave_although_its_request_came_before_the_signal() {
    let held = Held::default();
    let server = start(held.clone(), long_delay).await;
    let mut standing = server.connect().await;
    let signalled = async {
        eventually("a request", held.asked.notified()).await;
        server.signal();
        unready(&server).await;
        held.go.notify_one();
    };
    let (reply, ()) = tokio::join!(standing.review("{}"), signalled);
    assert_eq!(reply.header("connection"), Some("close"));
    standing.closed().await;
}

#[tokio::test]
async fn a_request_on_its_way_is_finished_after_the_port_is_closed() {
    let server = start(trivial, |config| config.drain_timeout = LONG).await;
    let mut stream = server.raw().await;
    write(&mut stream, &format!("{}{{", head(2))).await;
    let mut other = server.connect().await;
    other.review("{}").await;

    server.signal();
    server.refuses_connections().await;
    other.closed().await;
    write(&mut stream, "}").await;
    let reply = read_to_end(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("{\"got\":2}"), "{reply}");
    assert!(reply.contains("connection: close"), "{reply}");
    assert_eq!(server.ended().await, Ended::Drained);
}

#[tokio::test]
async fn whoever_does_not_finish_in_time_is_cut() {
    let server = start(trivial, |config| {
        config.drain_timeout = Duration::from_millis(100);
        config.limits.body = LONG;
    })
    .await;
    let mut stream = server.raw().await;
    write(&mut stream, &format!("{}{{", head(2))).await;
    server.metric_becomes("curfew_connections", "1").await;
    server.signal();
    assert_eq!(server.ended().await, Ended::Cut(1));
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn without_connections_it_ends_at_once() {
    let server = start(trivial, |config| config.drain_timeout = LONG).await;
    server.signal();
    assert_eq!(server.ended().await, Ended::Drained);
}

#[tokio::test]
async fn a_second_signal_aborts_the_delay() {
    let server = start(trivial, long_delay).await;
    server.signal();
    server.signal();
    assert_eq!(server.ended().await, Ended::Aborted);
}

#[tokio::test]
async fn a_second_signal_aborts_the_wait_for_connections() {
    let server = start(trivial, |config| {
        config.drain_timeout = LONG;
        config.limits.body = LONG;
    })
    .await;
    let mut stream = server.raw().await;
    write(&mut stream, &format!("{}{{", head(2))).await;
    server.metric_becomes("curfew_connections", "1").await;
    server.signal();
    server.refuses_connections().await;
    server.signal();
    assert_eq!(server.ended().await, Ended::Aborted);
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn without_reviews_there_is_the_admin_port_alone() {
    let free = "127.0.0.1:0".parse().unwrap();
    let config = Config { listen: free, admin_listen: free, drain_delay: LONG, ..Config::default() };
    let server = Server::bind(config, None).await.unwrap();
    assert_eq!((server.webhook_address(), server.ca_pem()), (None, None));
    let admin = server.admin_address();
    let (signals, received) = Signals::by_hand();
    let ended = tokio::spawn(server.run(received));
    let ready = async {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        write(&mut stream, "GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        read_to_end(&mut stream).await
    };
    assert!(eventually("an answer", ready).await.starts_with("HTTP/1.1 200"));
    // Nobody is sent here any more, so there is nothing to wait for.
    signals.send("SIGTERM").unwrap();
    assert_eq!(eventually("the end", ended).await.unwrap().unwrap(), Ended::Drained);
}
