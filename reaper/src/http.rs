//! One exchange with a proxy: nonblocking, with a deadline, over a connection of its own.

use std::{os::fd::OwnedFd, time::Instant};

use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};

use crate::endpoint::Endpoint;

/// Reading on to the end keeps the close from becoming a reset, which the proxy would log as an error. No admin
/// port has more to say than this.
const LONGEST_ANSWER: usize = 16 * 1024;

/// How an exchange ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nobody listens.
    Refused,
    /// Somebody listens; nothing was asked.
    Listening,
    /// An HTTP answer.
    Answered(Answer),
    /// Anything else: what happened.
    Failed(String),
}

/// The part of an answer that counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body's first line.
    pub(crate) said: String,
}

/// An exchange under way.
pub(crate) struct Exchange {
    socket: OwnedFd,
    request: Vec<u8>,
    sent: usize,
    connected: bool,
    answer: Vec<u8>,
    deadline: Instant,
}

// === impl Exchange ===

impl Exchange {
    /// Sends `request`; an empty one only finds out whether somebody listens.
    pub(crate) fn begin(to: &Endpoint, request: Vec<u8>, deadline: Instant) -> Result<Self, Outcome> {
        let family = if to.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)
            .map_err(|error| failed("no socket", error))?;
        match rustix::net::connect(&socket, &to.address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {
                Ok(Self { socket, request, sent: 0, connected: false, answer: Vec::new(), deadline })
            }
            Err(Errno::CONNREFUSED) => Err(Outcome::Refused),
            Err(error) => Err(failed("no connection", error)),
        }
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let sending = !self.connected || self.sent < self.request.len();
        PollFd::new(&self.socket, if sending { PollFlags::OUT } else { PollFlags::IN })
    }

    /// Whether somebody has taken the connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// When it is given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Goes on as far as that is possible without waiting.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Outcome> {
        self.send().or_else(|| self.receive()).or_else(|| (now >= self.deadline).then(|| self.cut()))
    }

    fn send(&mut self) -> Option<Outcome> {
        while !self.connected || self.sent < self.request.len() {
            // Until the connection stands this says "again", and afterwards how it went: no need to ask for that.
            // Without NOSIGNAL a proxy that hangs up would have the command sent a SIGPIPE.
            match rustix::net::send(&self.socket, &self.request[self.sent..], SendFlags::NOSIGNAL) {
                Ok(length) => {
                    self.connected = true;
                    self.sent += length;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(Errno::CONNREFUSED) => return Some(Outcome::Refused),
                // It may have answered before it stopped listening to us, and the rest will never be sent.
                Err(Errno::PIPE | Errno::CONNRESET) if self.connected => self.sent = self.request.len(),
                Err(error) => return Some(failed("no connection", error)),
            }
        }
        self.request.is_empty().then_some(Outcome::Listening)
    }

    fn receive(&mut self) -> Option<Outcome> {
        if !self.connected || self.sent < self.request.len() {
            return None;
        }
        let mut chunk = [0; 2048];
        loop {
            match rustix::net::recv(&self.socket, &mut chunk[..], RecvFlags::empty()) {
                Ok((0, _)) => return Some(self.cut()),
                Ok((length, _)) => {
                    self.answer.extend_from_slice(&chunk[..length]);
                    if is_complete(&self.answer) || self.answer.len() >= LONGEST_ANSWER {
                        return Some(self.cut());
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                Err(_) => return Some(self.cut()),
            }
        }
    }

    /// Makes the best of what has come in so far.
    fn cut(&self) -> Outcome {
        if let Some(answer) = read(&self.answer) {
            return Outcome::Answered(answer);
        }
        let what = match (self.connected, self.answer.is_empty()) {
            (false, _) => "accepted no connection in time",
            (true, false) => "answered something that is not HTTP",
            (true, true) if Instant::now() >= self.deadline => "gave no answer in time",
            (true, true) => "hung up without an answer",
        };
        Outcome::Failed(what.to_owned())
    }
}

// === impl Outcome ===

impl Outcome {
    /// What to tell people; the verb goes with the endpoint in front.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Refused => "refused the connection".to_owned(),
            Self::Listening => "is open".to_owned(),
            Self::Answered(answer) if answer.said.is_empty() => format!("answered {}", answer.status),
            Self::Answered(answer) => format!("answered {} \"{}\"", answer.status, answer.said),
            Self::Failed(what) => what.clone(),
        }
    }
}

fn failed(what: &str, error: Errno) -> Outcome {
    Outcome::Failed(format!("{what}: {error}"))
}

fn head_and_body(answer: &[u8]) -> Option<(&str, &[u8])> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((str::from_utf8(&answer[..at]).ok()?, &answer[at + 4..]))
}

/// Whether all that was announced has come, so that the proxy's hanging up need not be waited for.
fn is_complete(answer: &[u8]) -> bool {
    let Some((head, body)) = head_and_body(answer) else { return false };
    let header = |name: &str| {
        let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    match header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => body.len() >= length,
        Some(Err(_)) => false,
        None => header("transfer-encoding").is_some() && body.ends_with(b"0\r\n\r\n"),
    }
}

fn read(answer: &[u8]) -> Option<Answer> {
    let digits = answer.strip_prefix(b"HTTP/1.0 ").or_else(|| answer.strip_prefix(b"HTTP/1.1 "))?.get(..3)?;
    let status = str::from_utf8(digits).ok()?.parse().ok().filter(|status| (200..600).contains(status))?;
    let mut said = String::new();
    if let Some((head, body)) = head_and_body(answer) {
        // Chunks have a line of their own in front; what it means is not worth the code.
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding");
        let line = body.split(|byte| *byte == b'\n').nth(usize::from(chunked)).unwrap_or_default();
        let plain = line.iter().filter(|byte| **byte == b' ' || byte.is_ascii_graphic());
        said = plain.take(80).map(|byte| char::from(*byte)).collect();
    }
    Some(Answer { status, said })
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, time::Duration};

    use rustix::event::poll;

    use super::*;
    use crate::drive::timespec;

    #[test]
    fn who_answers_and_hangs_up_amid_a_request_is_understood_at_once() {
        for (says, understood) in [
            ("HTTP/1.1 200 OK\r\n\r\nOK", Outcome::Answered(Answer { status: 200, said: "OK".to_owned() })),
            ("", Outcome::Failed("hung up without an answer".to_owned())),
        ] {
            let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = proxy.local_addr().expect("an address");
            let endpoint = format!("http://{address}/").parse().expect("an endpoint");
            // More than the kernel takes for somebody who reads nothing.
            let request = vec![b'a'; 64 << 20];
            let deadline = Instant::now() + Duration::from_secs(3600);
            let mut exchange = Exchange::begin(&endpoint, request, deadline).expect("a connection");
            let (mut stream, _) = proxy.accept().expect("a connection");
            assert_eq!(exchange.advance(Instant::now()), None);
            assert!(exchange.connected && exchange.sent < exchange.request.len(), "{} sent", exchange.sent);
            stream.write_all(says.as_bytes()).expect("says it");
            // With a request that was not read this is a reset.
            drop(stream);
            let mut hung_up = [PollFd::new(&exchange.socket, PollFlags::empty())];
            let seen = poll(&mut hung_up, Some(&timespec(Duration::from_secs(20)))).expect("polls");
            assert_eq!(seen, 1, "the reset has come");
            assert_eq!(exchange.advance(Instant::now()), Some(understood));
        }
    }

    #[test]
    fn reads_status_and_first_line() {
        let said = |text: &str| read(text.as_bytes()).map(|answer| (answer.status, answer.said));
        assert_eq!(said("HTTP/1.1 200 OK\r\n\r\n"), Some((200, String::new())));
        assert_eq!(said("HTTP/1.1 404 \r\n\r\nnot\x1b enabled\nmore"), Some((404, "not enabled".to_owned())));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nOK\n\r\n0\r\n\r\n";
        assert_eq!(said(chunked), Some((200, "OK".to_owned())));
        for text in ["", "HTTP/1.1", "HTTP/1.1 20", "HTTP/2 200", "HTTP/1.1 100 C\r\n\r\n", "ICY 200 OK"] {
            assert_eq!(said(text), None, "{text}");
        }
    }

    #[test]
    fn knows_when_all_has_come() {
        for (text, complete) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nO", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\nOK", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nOK\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nOK\n\r\n0\r\n\r\n", true),
        ] {
            assert_eq!(is_complete(text.as_bytes()), complete, "{text}");
        }
    }
}
