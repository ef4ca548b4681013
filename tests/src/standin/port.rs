//! One listening port that can be reserved before it listens, and closed from another thread.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Another process may take an ephemeral port between our two binds of it; so many times is no chance any
/// more.
const RESERVE_TRIES: usize = 16;

/// A port that is first reserved, then open, then closed.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Bound, so that nobody else gets it, but refusing connections.
    Reserved(#[expect(dead_code, reason = "held for its file descriptor")] TcpListener),
    /// Listening; the value is a second handle of the listener's socket.
    Open(TcpStream),
    Closed,
}

// === impl Port ===

impl Port {
    /// Takes `port` of `ip` (0: any free one) without listening on it yet.
    pub(super) fn reserve(ip: IpAddr, port: u16) -> io::Result<Self> {
        let mut tries = 0;
        let listener = loop {
            tries += 1;
            let chosen = if port == 0 { free_port(ip)? } else { port };
            match TcpListener::bind((ip, chosen)) {
                Ok(listener) => break listener,
                Err(_) if port == 0 && tries < RESERVE_TRIES => {}
                Err(error) => return Err(error),
            }
        };
        let address = listener.local_addr()?;
        // Bound by number, the socket keeps the port when it stops listening.
        handle(&listener)?.shutdown(Shutdown::Both)?;
        Ok(Self { address, state: Mutex::new(State::Reserved(listener)) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen; `None` when it was closed in the meantime.
    pub(super) fn open(&self) -> io::Result<Option<TcpListener>> {
        let mut state = self.lock();
        if matches!(*state, State::Closed) {
            return Ok(None);
        }
        // std sets SO_REUSEADDR, so this works beside the reserving socket: there is no moment without an
        // owner.
        let listener = TcpListener::bind(self.address)?;
        *state = State::Open(handle(&listener)?);
        Ok(Some(listener))
    }

    /// Refuses every connection from now on, also while a thread sits in `accept`: closing the descriptor
    /// alone would leave the socket listening until that call returns.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if let State::Open(handle) = &*state {
            // Fails only on a socket that does not listen, which is what we want.
            let _ = handle.shutdown(Shutdown::Both);
        }
        *state = State::Closed;
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn free_port(ip: IpAddr) -> io::Result<u16> {
    TcpListener::bind((ip, 0))?.local_addr().map(|address| address.port())
}

/// `shutdown(2)` works on a listener too, but std offers it on streams only.
fn handle(listener: &TcpListener) -> io::Result<TcpStream> {
    Ok(TcpStream::from(OwnedFd::from(listener.try_clone()?)))
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, net::Ipv4Addr, thread};

    use super::*;

    fn connect(port: &Port) -> io::Result<TcpStream> {
        TcpStream::connect(port.address())
    }

    #[test]
    fn a_reserved_port_refuses_and_belongs_to_nobody_else() {
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into(), 0).unwrap();
        assert_eq!(connect(&port).expect_err("refused").kind(), ErrorKind::ConnectionRefused);
        let _listener = port.open().unwrap().expect("still ours");
        assert!(connect(&port).is_ok());
        assert!(TcpListener::bind(port.address()).is_err());
    }

    #[test]
    fn closing_wakes_the_accepting_thread_and_refuses_at_once() {
        let port = Port::reserve(Ipv4Addr::LOCALHOST.into(), 0).unwrap();
        let listener = port.open().unwrap().expect("not closed");
        let accepting = thread::spawn(move || listener.accept().is_err());
        thread::sleep(std::time::Duration::from_millis(50));
        port.close();
        assert_eq!(connect(&port).expect_err("refused").kind(), ErrorKind::ConnectionRefused);
        assert!(accepting.join().unwrap());
        assert!(port.open().unwrap().is_none());
    }
}
