//! As much HTTP/1.1 as an admin port needs: one request a connection, never a panic, never unbounded.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// Longer heads are cut: no admin client sends them.
const MAX_HEAD: usize = 16 * 1024;
/// A body is read away up to here, so that closing does not reset the connection.
const MAX_BODY: usize = 64 * 1024;
/// A client that says nothing for so long is let go.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// The client has its answer; this only gives it time to close first.
const LINGER_TIMEOUT: Duration = Duration::from_millis(200);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) path: String,
    /// As much of its body as is read.
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    method: String,
    path: String,
    content_length: usize,
    end: usize,
}

/// Reads one request; `None` when the client left or sent no line that could be one.
pub(crate) fn read_request(stream: &mut TcpStream) -> io::Result<Option<Message>> {
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let mut bytes = Vec::with_capacity(512);
    let mut chunk = [0_u8; 1024];
    loop {
        if let Some(head) = parse(&bytes) {
            let mut body = bytes.split_off(head.end);
            let missing = head.content_length.min(MAX_BODY).saturating_sub(body.len());
            // A body cut short is the client's doing; what there is must do.
            let _ = stream.take(missing as u64).read_to_end(&mut body);
            return Ok(Some(Message { method: head.method, path: head.path, body }));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 || bytes.len() >= MAX_HEAD {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// A complete head, or `None` while its blank line is missing (or its first line has no two words).
fn parse(bytes: &[u8]) -> Option<Head> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.lines();
    let mut words = lines.next()?.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let content_length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Head { method: method.to_owned(), path: path.to_owned(), content_length, end })
}

fn read_away(stream: &mut TcpStream, mut bytes: usize) {
    let mut chunk = [0_u8; 1024];
    while bytes > 0 {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes = bytes.saturating_sub(read),
        }
    }
}

/// Sends a whole answer in one write and says that it was the last.
pub(crate) fn respond(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        reason(status),
        body.len(),
    );
    stream.write_all(answer.as_bytes())?;
    stream.shutdown(Shutdown::Write)
}

/// Reads until the client closes, for a moment: closing first, with bytes unread, would reset the connection.
pub(crate) fn let_client_close(stream: &mut TcpStream) {
    if stream.set_read_timeout(Some(LINGER_TIMEOUT)).is_ok() {
        read_away(stream, MAX_BODY);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_path_are_read_without_the_query() {
        let head = parse(b"POST /shutdown?now HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str()), ("POST", "/shutdown"));
        assert_eq!(head.content_length, 3);
    }

    #[test]
    fn odd_input_is_no_request_and_no_panic() {
        for bytes in
            [&b""[..], b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n"]
        {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
        let odd = parse(b"\xff\xfe \x00 \r\ncontent-length: -4\r\n:\r\n\r\n").unwrap();
        assert_eq!(odd.content_length, 0);
    }
}
