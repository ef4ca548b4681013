//! `http.Get` of Go's default client, as the operator asks runners for their status: 30 s to connect, and no limit at all
//! for the answer. An answer that never comes stops the whole operator, as in v1.6.0.

use std::time::Duration;

use anyhow::Context;
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The status code of `GET http://ADDRESS:6565/v1/status`.
pub(crate) async fn status(address: &str) -> anyhow::Result<u16> {
    let host = format!("{address}:6565");
    let stream = timeout(DIAL_TIMEOUT, TcpStream::connect(&host)).await.context("connecting took 30 s")??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/v1/status")
        .header(header::HOST, host)
        .header(header::USER_AGENT, "Go-http-client/1.1")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    // The original never closes the body, so its connection stays open until the other side closes it.
    tokio::spawn(async move {
        let ended = connection.await;
        drop((response, sender));
        ended
    });
    Ok(status)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::{io::AsyncWriteExt, net::TcpListener, time::sleep};

    use super::*;

    /// Loopback addresses of their own, for the port is given.
    async fn listen(last: u8) -> (String, TcpListener) {
        let address = Ipv4Addr::new(127, 65, 65, last);
        (address.to_string(), TcpListener::bind(SocketAddr::from((address, 6565))).await.unwrap())
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        let (address, listener) = listen(1).await;
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        });
        assert_eq!(status(&address).await.unwrap(), 403);
        drop(proxy.await.unwrap());
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_waited_for() {
        let (address, listener) = listen(2).await;
        let asking = tokio::spawn(async move { status(&address).await });
        let accepted = listener.accept().await.unwrap();
        sleep(Duration::from_millis(300)).await;
        assert!(!asking.is_finished());
        drop(accepted);
        assert!(asking.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error_at_once() {
        assert!(status("127.65.65.3").await.is_err());
    }
}
