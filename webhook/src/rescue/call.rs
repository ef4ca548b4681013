//! One request to a sidecar's endpoint, through the API server into the pod's loopback.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::cluster::{Cluster, Denied, denied};

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
    let whole = forwarded(cluster, namespace, pod, endpoint);
    tokio::time::timeout(PATIENCE, whole)
        .await
        .unwrap_or_else(|_| Err(Refusal::Unreached(format!("no answer within {} s", PATIENCE.as_secs()))))
}

async fn forwarded(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    endpoint: &str,
) -> Result<StatusCode, Refusal> {
    let unreached = |error: &dyn std::fmt::Display| Refusal::Unreached(plain(&error.to_string()));
    let (method, url) = endpoint
        .split_once("=http")
        .map_or(("POST", endpoint), |(method, _)| (method, &endpoint[method.len() + 1..]));
    let uri: Uri = url.parse().map_err(|error| unreached(&error))?;
    let port = uri.port_u16().ok_or_else(|| unreached(&"no port"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", uri.authority().map_or("localhost", |authority| authority.as_str()))
        .header("User-Agent", concat!("curfew/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreached(&error))?;

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
    match answer? {
        (status, _) if status.is_success() => Ok(status),
        (status, body) => {
            let first = String::from_utf8_lossy(&body).lines().next().map(plain).unwrap_or_default();
            let space = if first.is_empty() { "" } else { ": " };
            Err(Refusal::Answer(format!("{}{space}{first}", status.as_u16())))
        }
    }
}

/// What comes from a pod goes to a terminal: a line of it, without what terminals obey.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(160).collect()
}
