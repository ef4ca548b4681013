//! One connection: HTTP/1.1 over whatever carries it.

use super::{shutdown::Phase, timed::Timed};
use axum::{Router, body::Body, http};
use http::{HeaderValue, Request, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::pin::pin;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

/// The apiserver sends some ten headers. hyper's own limit is its buffer, of 400 KiB.
const MOST_HEADER_BYTES: usize = 16 * 1024;
/// What is read ahead of a connection: one record of TLS, or a head.
const MOST_BUFFERED: usize = 16 * 1024;

/// Serves until the peer is done, stalls, or the server ends.
pub(super) async fn serve<T>(
    stream: Timed<T>,
    router: Router,
    mut phase: watch::Receiver<Phase>,
) -> hyper::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (pulse, drain) = (stream.pulse(), phase.clone());
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        pulse.busy();
        let answer = router.call(request);
        let (pulse, drain) = (pulse.clone(), drain.clone());
        async move {
            let mut answer: http::Response<Body> = answer.await?;
            // Asked only now: a request may have come before the signal, and its answer goes out behind it.
            if *drain.borrow() >= Phase::Draining {
                // The client's next request then goes to whoever is still in the endpoints.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            pulse.idle();
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None) // `Timed` does it
            .max_header_size(MOST_HEADER_BYTES)
            .max_buf_size(MOST_BUFFERED)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        result = connection.as_mut() => return result,
        () = Phase::Closing.reached(&mut phase) => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection => result,
        () = Phase::Cut.reached(&mut phase) => Ok(()),
    }
}
