//! What each request gets, and how it is sent.

use std::{
    io::{self, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    OnShutdown, Unready,
    http::{self, Message},
    serve::Shared,
};

/// What one request gets.
enum Answer {
    Status(u16, &'static str),
    Quit(Duration),
    Garbage,
    Stall,
    Body { chunk: usize, every: Duration },
    Drop,
}

/// Answers the one request of a connection.
pub(super) fn serve(shared: &Shared, mut stream: TcpStream, port: u16) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(head) = http::read_request(&mut stream)? else { return Ok(()) };
    let answer = decide(shared, &head, port);
    let status = match answer {
        Answer::Status(status, _) => Some(status),
        Answer::Quit(_) | Answer::Body { .. } => Some(200),
        Answer::Garbage | Answer::Stall | Answer::Drop => None,
    };
    shared.record(head, port, status);
    match answer {
        Answer::Status(status, body) => http::respond(&mut stream, status, body)?,
        Answer::Quit(linger) => return quit(shared, &mut stream, linger),
        Answer::Garbage => stream.write_all(b"\x16\x03\x01\x00\xff\xfe no HTTP at all\r\n\r\n")?,
        Answer::Stall => {
            shared.wait_for(Duration::MAX, |state| state.gone);
        }
        Answer::Body { chunk, every } => endless(shared, &mut stream, chunk, every)?,
        Answer::Drop => {}
    }
    http::let_client_close(&mut stream);
    Ok(())
}

fn decide(shared: &Shared, head: &Message, port: u16) -> Answer {
    let shape = shared.config.shape;
    if port == shared.shutdown_address().port() && head.path == shape.shutdown_path() {
        let is_hidden =
            shape.hides_what_is_disabled() && shared.config.on_shutdown == [OnShutdown::NotEnabled];
        return if head.method == "POST" || is_hidden {
            on_shutdown(shared)
        } else {
            Answer::Status(405, "Method Not Allowed\n")
        };
    }
    if port != shared.ready_address().port() || head.path != shape.ready_path() {
        return Answer::Status(404, "not found\n");
    }
    match shared.config.unready {
        _ if !matches!(head.method.as_str(), "GET" | "HEAD") => Answer::Status(405, "Method Not Allowed\n"),
        _ if shared.is_ready() => Answer::Status(200, shape.ready_body()),
        Unready::Answers(status) => Answer::Status(status, "not ready\n"),
        Unready::Stall => Answer::Stall,
        Unready::Garbage => Answer::Garbage,
        Unready::Closed | Unready::Drop => Answer::Drop,
    }
}

fn on_shutdown(shared: &Shared) -> Answer {
    match shared.next_behaviour() {
        OnShutdown::Ok => Answer::Quit(Duration::ZERO),
        OnShutdown::OkThenLinger(linger) => Answer::Quit(linger),
        OnShutdown::NotEnabled => Answer::Status(404, shared.config.shape.disabled_body()),
        OnShutdown::Forbidden => Answer::Status(403, "Requests are only permitted from localhost."),
        OnShutdown::ServerError => Answer::Status(500, "cannot shut down\n"),
        OnShutdown::Garbage => Answer::Garbage,
        OnShutdown::Stall => Answer::Stall,
        OnShutdown::Endless => Answer::Body { chunk: 64 * 1024, every: Duration::from_millis(1) },
        OnShutdown::Drip => Answer::Body { chunk: 1, every: Duration::from_millis(100) },
        OnShutdown::Drop | OnShutdown::Never => Answer::Drop,
    }
}

/// Accepts the shutdown: without a linger the ports are closed before the answer leaves.
fn quit(shared: &Shared, stream: &mut TcpStream, linger: Duration) -> io::Result<()> {
    shared.accept_quit();
    if linger.is_zero() {
        shared.close();
    }
    let answered = http::respond(stream, 200, shared.config.shape.shutdown_body());
    shared.quit_answered();
    if !linger.is_zero() {
        shared.wait_for(linger, |state| state.gone);
        shared.close();
    }
    http::let_client_close(stream);
    answered
}

fn endless(shared: &Shared, stream: &mut TcpStream, chunk: usize, every: Duration) -> io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")?;
    let bytes = vec![b'.'; chunk];
    while !shared.wait_for(every, |state| state.gone) {
        stream.write_all(&bytes)?;
    }
    Ok(())
}
