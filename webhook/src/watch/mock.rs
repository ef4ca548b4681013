//! An API server that gives the answers a test hands it.

use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use tower_test::mock::{self, Handle};

/// Its end of the wire.
pub(crate) type Server = Handle<Request<Body>, Response<Body>>;

/// A client of it.
pub(crate) fn client() -> (Client, Server) {
    let (service, server) = mock::pair();
    (Client::new(service, "default"), server)
}

/// Answers one request after another; whatever else is asked stays without an answer.
pub(crate) async fn answer(
    mut server: Server,
    answers: impl IntoIterator<Item = (&str, StatusCode, Value)>,
) -> Server {
    for (path, status, body) in answers {
        let (request, send) = server.next_request().await.expect("a request");
        assert!(request.uri().to_string().starts_with(path), "{} is not {path}", request.uri());
        let body = Body::from(body.to_string().into_bytes());
        send.send_response(Response::builder().status(status).body(body).expect("a response"));
    }
    server
}

/// How late whoever watches may notice that the API server is back.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Refuses this watch as often as an API server that is away for a while, and tells how long it takes to be asked again.
pub(crate) async fn asked_again(server: Server, watch: &str) -> Duration {
    let away = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "ServiceUnavailable", "message": "not yet", "code": 503});
    let mut server = answer(server, vec![(watch, StatusCode::SERVICE_UNAVAILABLE, away); 10]).await;
    let start = Instant::now();
    let (request, _send) = server.next_request().await.expect("a request");
    assert!(request.uri().to_string().starts_with(watch), "{}", request.uri());
    start.elapsed()
}
