//! An API server that gives the answers a test hands it.

use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::Value;
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
