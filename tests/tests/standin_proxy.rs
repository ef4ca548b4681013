//! The stand-in proxy as a process: it never ends by itself, and ends well when told to.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    /// A Linkerd-shaped one at this address, which is its alone, with this value of the variable that opens its endpoint.
    fn linkerd(address: [u8; 4], opened: Option<&str>, log: &Path) -> Self {
        let address = SocketAddr::from((address, 4192));
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin-proxy"));
        command
            .args(["--shape", "linkerd", "--ready-after", "100ms", "--address"])
            .arg(address.ip().to_string())
            .arg("--log")
            .arg(log)
            .env_remove("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED")
            .env("LINKERD2_PROXY_ADMIN_LISTEN_ADDR", format!("0.0.0.0:{}", address.port()));
        if let Some(opened) = opened {
            command.env("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", opened);
        }
        Self { child: command.spawn().unwrap(), address }
    }

    fn send(&self, method: &str, path: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut stream = loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => break stream,
                Err(error) => assert!(error.kind() == ErrorKind::ConnectionRefused && Instant::now() < until),
            }
            thread::sleep(Duration::from_millis(5));
        };
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: proxy\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn catches(&self, signal: Signal) {
        let until = Instant::now() + PATIENCE;
        let status = format!("/proc/{}/status", self.child.id());
        let caught = || {
            let status = fs::read_to_string(&status).unwrap();
            let set = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(set.trim(), 16).unwrap() & 1 << (signal.as_raw() - 1) != 0
        };
        while !caught() {
            assert!(Instant::now() < until, "it never handles {signal:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Already ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn linkerds_endpoint_answers_404_until_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for closed in [None, Some("false")] {
        let mut proxy = Proxy::linkerd([127, 0, 0, 211], closed, &log);
        let answer = proxy.send("POST", "/shutdown");
        assert!(
            answer.starts_with("HTTP/1.1 404 ") && answer.contains("shutdown endpoint is not enabled"),
            "{answer}"
        );
        assert!(proxy.child.try_wait().unwrap().is_none());
    }
    let mut proxy = Proxy::linkerd([127, 0, 0, 211], Some("true"), &log);
    assert!(proxy.send("GET", "/ready").starts_with("HTTP/1.1 200 "));
    assert!(proxy.send("GET", "/shutdown").starts_with("HTTP/1.1 405 "));
    assert!(proxy.send("POST", "/shutdown").starts_with("HTTP/1.1 200 "));
    assert_eq!(proxy.wait().code(), Some(0));
    let lines = fs::read_to_string(&log).unwrap();
    assert!(lines.lines().last().is_some_and(|line| line.ends_with(" POST /shutdown 200")), "{lines}");
}

#[test]
fn the_term_signal_ends_it_with_exit_0_also_before_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = Proxy::linkerd([127, 0, 0, 212], None, &folder.path().join("log"));
    proxy.send("GET", "/ready");
    kill_process(Pid::from_child(&proxy.child), Signal::TERM).unwrap();
    assert_eq!(proxy.wait().code(), Some(0));

    let mut unready = Command::new(env!("CARGO_BIN_EXE_standin-proxy"));
    unready.args(["--shape", "envoy", "--address", "127.0.0.213", "--ready-after", "1m"]);
    let mut proxy = Proxy { child: unready.spawn().unwrap(), address: ([127, 0, 0, 213], 9901).into() };
    // Its handler is there before anything else, but a process takes a moment to get that far.
    proxy.catches(Signal::TERM);
    kill_process(Pid::from_child(&proxy.child), Signal::TERM).unwrap();
    assert_eq!(proxy.wait().code(), Some(0));
}
