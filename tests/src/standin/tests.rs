use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    thread,
};

use super::*;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time to look at what is not ready yet.
const LATE: Duration = Duration::from_secs(1);

fn send(address: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn gets_ready(proxy: &StandIn, path: &str) {
    let until = Instant::now() + PATIENCE;
    while !send(proxy.ready_address(), "GET", path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
        assert!(Instant::now() < until, "it never gets ready");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_shape_answers_on_its_own_paths() {
    let cases = [
        (StandIn::linkerd(LOCAL), "/ready", "/shutdown", "shutdown\n"),
        (StandIn::istio(LOCAL), "/healthz/ready", "/quitquitquit", "OK"),
        (StandIn::envoy(LOCAL), "/ready", "/quitquitquit", "OK\n"),
        (StandIn::vault(LOCAL), "/agent/v1/metrics", "/agent/v1/quit", ""),
    ];
    for (builder, ready, shutdown, body) in cases {
        let proxy = builder.any_port().start().unwrap();
        assert!(send(proxy.ready_address(), "GET", ready).unwrap().starts_with("HTTP/1.1 200 "));
        assert!(send(proxy.ready_address(), "GET", "/other").unwrap().starts_with("HTTP/1.1 404 "));
        let answer = send(proxy.shutdown_address(), "POST", shutdown).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(body), "{answer}");
        assert!(refused(proxy.shutdown_address()) && refused(proxy.ready_address()));
        assert!(proxy.is_quit() && proxy.wait_until_gone(Duration::from_secs(1)));
    }
}

#[test]
fn only_vaults_agent_hides_a_disabled_endpoint_from_the_wrong_method() {
    let cases = [
        (StandIn::linkerd(LOCAL), "/shutdown", "405", "not enabled\n"),
        (StandIn::vault(LOCAL), "/agent/v1/quit", "404", "\r\n\r\n"),
    ];
    for (builder, path, wrong, body) in cases {
        let proxy = builder.any_port().on_shutdown(OnShutdown::NotEnabled).start().unwrap();
        let answer = send(proxy.shutdown_address(), "GET", path).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {wrong} ")), "{answer}");
        let answer = send(proxy.shutdown_address(), "POST", path).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.ends_with(body), "{answer}");
        assert!(!proxy.is_quit());
    }
}

#[test]
fn the_port_is_closed_with_the_answer_every_time() {
    for _ in 0..50 {
        let proxy = StandIn::linkerd(LOCAL).any_port().start().unwrap();
        send(proxy.shutdown_address(), "POST", "/shutdown").unwrap();
        assert!(refused(proxy.shutdown_address()));
    }
}

#[test]
fn nothing_listens_before_it_is_ready() {
    let since = Instant::now();
    let proxy = StandIn::istio(LOCAL).any_port().ready_after(LATE).start().unwrap();
    let closed = refused(proxy.ready_address()) && refused(proxy.shutdown_address());
    assert!(closed || since.elapsed() >= LATE);
    gets_ready(&proxy, "/healthz/ready");
    assert!(proxy.ready_at().is_some());
}

#[test]
fn an_unready_proxy_can_answer_503() {
    let since = Instant::now();
    let builder = StandIn::linkerd(LOCAL).any_port().unready(Unready::Answers(503));
    let proxy = builder.ready_after(LATE).start().unwrap();
    let answer = send(proxy.ready_address(), "GET", "/ready").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") || since.elapsed() >= LATE, "{answer}");
    gets_ready(&proxy, "/ready");
}

#[test]
fn the_wrong_method_never_shuts_it_down() {
    let proxy = StandIn::linkerd(LOCAL).any_port().start().unwrap();
    for method in ["GET", "HEAD", "PUT"] {
        assert!(send(proxy.shutdown_address(), method, "/shutdown").unwrap().starts_with("HTTP/1.1 405 "));
    }
    assert!(!proxy.is_quit());
}

#[test]
fn refusals_keep_it_running_and_are_recorded() {
    for (behaviour, status) in
        [(OnShutdown::NotEnabled, 404), (OnShutdown::Forbidden, 403), (OnShutdown::ServerError, 500)]
    {
        let proxy = StandIn::linkerd(LOCAL).any_port().on_shutdown(behaviour).start().unwrap();
        let answer = send(proxy.shutdown_address(), "POST", "/shutdown").unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!proxy.is_quit() && !refused(proxy.shutdown_address()));
        assert_eq!(proxy.shutdown_requests()[0].status, Some(status));
    }
}

#[test]
fn it_can_refuse_once_and_then_give_in() {
    let proxy = StandIn::envoy(LOCAL)
        .any_port()
        .on_shutdown(OnShutdown::ServerError)
        .then(OnShutdown::Ok)
        .start()
        .unwrap();
    assert!(send(proxy.shutdown_address(), "POST", "/quitquitquit").unwrap().contains(" 500 "));
    assert!(send(proxy.shutdown_address(), "POST", "/quitquitquit").unwrap().contains(" 200 "));
    assert!(proxy.is_quit());
}

#[test]
fn a_lingering_proxy_says_yes_and_stays_for_a_while() {
    let linger = OnShutdown::OkThenLinger(Duration::from_secs(2));
    let proxy = StandIn::linkerd(LOCAL).any_port().on_shutdown(linger).start().unwrap();
    let address = proxy.shutdown_address();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"POST /shutdown HTTP/1.1\r\n\r\n").unwrap();
    assert!(proxy.wait_until_quit(PATIENCE));
    assert!(!refused(address));
    assert!(proxy.wait_until_gone(PATIENCE) && refused(address));
}

#[test]
fn a_stalled_and_an_endless_answer_never_end() {
    for behaviour in [OnShutdown::Stall, OnShutdown::Endless, OnShutdown::Drip] {
        let proxy = StandIn::linkerd(LOCAL).any_port().on_shutdown(behaviour).start().unwrap();
        let mut stream = TcpStream::connect(proxy.shutdown_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.write_all(b"POST /shutdown HTTP/1.1\r\n\r\n").unwrap();
        let until = Instant::now() + Duration::from_millis(300);
        let mut chunk = vec![0; 64 * 1024];
        while Instant::now() < until {
            match stream.read(&mut chunk) {
                Ok(0) => panic!("{behaviour:?} ended"),
                Ok(_) => {}
                Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            }
        }
        assert!(!proxy.is_quit());
    }
}

#[test]
fn a_shutdown_port_that_never_listens_leaves_ready_alone_where_it_has_its_own_port() {
    let istio = StandIn::istio(LOCAL).any_port().on_shutdown(OnShutdown::Never).start().unwrap();
    assert!(refused(istio.shutdown_address()) && !refused(istio.ready_address()));
    let linkerd = StandIn::linkerd(LOCAL).any_port().on_shutdown(OnShutdown::Never).start().unwrap();
    assert!(refused(linkerd.ready_address()));
}

#[test]
fn odd_clients_do_not_take_it_down() {
    let proxy = StandIn::linkerd(LOCAL).any_port().start().unwrap();
    for bytes in [&b""[..], b"\r\n\r\n", b"\x16\x03\x01", b"GET", &[0xff; 40_000]] {
        let mut stream = TcpStream::connect(proxy.ready_address()).unwrap();
        // It may close on us in the middle; that is its right.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 16]);
    }
    assert!(send(proxy.ready_address(), "GET", "/ready").unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn another_loopback_address_has_ports_of_its_own() {
    let one = StandIn::linkerd(Ipv4Addr::new(127, 0, 0, 211)).ready_port(14_191).start().unwrap();
    let two = StandIn::linkerd(Ipv4Addr::new(127, 0, 0, 212)).ready_port(14_191).start().unwrap();
    assert_eq!(one.ready_url(), "http://127.0.0.211:14191/ready");
    send(one.shutdown_address(), "POST", "/shutdown").unwrap();
    assert!(one.is_quit() && !two.is_quit() && !refused(two.ready_address()));
}
