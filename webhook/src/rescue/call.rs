//! One request to a sidecar's endpoint, through the API server into the pod's loopback.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::cluster::{Cluster, Denied, denied};
use crate::catalogue::{Endpoint, EndpointError};

/// A sidecar answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// As much of an answer as is worth reading.
const ANSWER: usize = 4096;

/// Why the endpoint did not take the call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It said no.
    #[error("answered {0}")]
    Answer(String),
    /// Nobody answered.
    #[error("was not reached: {0}")]
    Unreached(String),
    /// There was no way to it.
    #[error("{0}")]
    NoWay(#[from] Denied),
}

/// Calls `[METHOD=]http://HOST:PORT/PATH` from within the pod; the host is loopback, as every endpoint's.
pub(super) async fn call(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    endpoint: &str,
) -> Result<StatusCode, Refusal> {
    let answer = tokio::time::timeout(PATIENCE, forwarded(cluster, namespace, pod, endpoint)).await;
    judged(answer.ok().transpose()?)
}

/// What an answer means, if there was one: with anything but 2xx the sidecar is there and will not go.
fn judged(answer: Option<(StatusCode, Bytes)>) -> Result<StatusCode, Refusal> {
    match answer {
        None => Err(Refusal::Unreached(format!("no answer within {} s", PATIENCE.as_secs()))),
        Some((status, _)) if status.is_success() => Ok(status),
        Some((status, body)) => {
            let first = String::from_utf8_lossy(&body).lines().next().map(plain).unwrap_or_default();
            let space = if first.is_empty() { "" } else { ": " };
            Err(Refusal::Answer(format!("{}{space}{first}", status.as_u16())))
        }
    }
}

/// What an endpoint is sent, and at which port of the pod.
fn request(endpoint: &str) -> Result<(u16, Request<Empty<Bytes>>), String> {
    let endpoint: Endpoint = endpoint.parse().map_err(|error: EndpointError| error.to_string())?;
    let port = endpoint.port().ok_or_else(|| format!("{} is no number of a port", endpoint.authority()))?;
    let request = Request::builder()
        .method(endpoint.method().unwrap_or("POST"))
        .uri(encoded(endpoint.path()))
        .header("Host", endpoint.authority())
        .header("User-Agent", concat!("curfew/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    Ok((port, request))
}

/// A row may have characters in its path that the HTTP library takes only encoded; it means the same.
fn encoded(path: &str) -> String {
    path.replace('"', "%22").replace('<', "%3C").replace('>', "%3E").replace('`', "%60")
}

async fn forwarded(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    endpoint: &str,
) -> Result<(StatusCode, Bytes), Refusal> {
    let unreached = |error: &dyn std::fmt::Display| Refusal::Unreached(plain(&error.to_string()));
    let (port, request) = request(endpoint).map_err(|error| unreached(&error))?;

    // A WebSocket begins with a GET; since Kubernetes 1.35 it takes both.
    let right = "create and get pods/portforward";
    let mut forward = cluster.api(namespace).portforward(pod, &[port]).await.map_err(|error| {
        Refusal::NoWay(denied(error, right, Some(namespace), &format!("pod {namespace}/{pod}")))
    })?;
    let (stream, error) = (forward.take_stream(port), forward.take_error(port));
    let (Some(stream), Some(error)) = (stream, error) else { return Err(unreached(&"no stream")) };
    let answer = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        let answer = match answer {
            Ok(answer) => {
                let status = answer.status();
                let body = Limited::new(answer.into_body(), ANSWER).collect().await;
                Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
            }
            Err(error) => Err(error),
        };
        connection.abort();
        answer
    };
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        // Nobody listens there: the kubelet says so, and the stream stays open.
        Some(error) = error => Err(unreached(&error)),
        answer = &mut answer => answer.map_err(|error| unreached(&error)),
    };
    forward.abort();
    answer
}

/// What comes from a pod goes to a terminal: a line of it, without what terminals obey.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_here_as_the_catalogue_reads_it() {
        for line in include_str!("../../../tests/endpoints.txt").lines().filter(|line| !line.starts_with('#'))
        {
            let (sign, text) = line.split_once(' ').expect(line);
            match request(text) {
                Ok((port, request)) => {
                    assert_eq!(sign, "+", "{text}");
                    let endpoint: Endpoint = text.parse().expect(text);
                    assert_eq!(Some(port), endpoint.port(), "{text}");
                    assert_eq!(request.method().as_str(), endpoint.method().unwrap_or("POST"), "{text}");
                    assert_eq!(request.uri().to_string(), encoded(endpoint.path()), "{text}");
                    assert_eq!(request.headers()["Host"], endpoint.authority(), "{text}");
                }
                Err(error) => assert_eq!(sign, "-", "{text}: {error}"),
            }
        }
    }

    #[test]
    fn an_equals_sign_in_the_query_makes_no_method() {
        let (port, request) = request("http://127.0.0.1:80/q?next=http://127.0.0.1:81/").expect("a request");
        assert_eq!((port, request.method().as_str()), (80, "POST"));
        assert_eq!(request.uri(), "/q?next=http://127.0.0.1:81/");
    }

    #[test]
    fn only_2xx_ends_a_sidecar() {
        let answered = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).expect("a status");
            judged(Some((status, Bytes::from_static(body.as_bytes()))))
        };
        for status in [200, 202, 204] {
            assert_eq!(answered(status, "bye").expect("it goes"), status);
        }
        for (status, body, said) in [
            (302, "", "answered 302"),
            (401, "", "answered 401"),
            (403, "not from here\r\nsecond line", "answered 403: not from here"),
            (404, "\u{1b}[2Jnot found\n", "answered 404: [2Jnot found"),
            (405, "", "answered 405"),
            (500, "", "answered 500"),
        ] {
            let refusal = answered(status, body).expect_err("it stays");
            assert!(matches!(refusal, Refusal::Answer(_)), "{refusal:?}");
            assert_eq!(refusal.to_string(), said);
        }
        let silent = judged(None).expect_err("nobody answered");
        assert!(matches!(silent, Refusal::Unreached(_)), "{silent:?}");
        assert_eq!(silent.to_string(), "was not reached: no answer within 10 s");
    }
}
