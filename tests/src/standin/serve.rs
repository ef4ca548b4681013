//! The threads behind a stand-in, and what they share.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Builder, OnShutdown, Request, Unready, answer, http::Message, port::Port};

/// Called with each request before it is answered.
type Observer = Box<dyn Fn(&Request) + Send + Sync>;

/// Finds one of the two ports in what the threads share.
type PortOf = fn(&Shared) -> Option<&Port>;

/// What the threads of one stand-in share.
pub(super) struct Shared {
    pub(super) config: Builder,
    started: Instant,
    ready: Port,
    /// `None`: the ready port takes the shutdown too.
    shutdown: Option<Port>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    requests: Vec<Request>,
    observers: Vec<Observer>,
    ready_at: Option<Instant>,
    shutdowns: usize,
    pub(super) quit_at: Option<Instant>,
    /// Accepted shutdowns whose answer is still on its way.
    pub(super) unanswered: usize,
    pub(super) gone: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    pub(super) fn start(config: Builder) -> io::Result<Arc<Self>> {
        let ready = Port::reserve(config.address, config.ready_port)?;
        let shutdown = match config.shared_port {
            true => None,
            false => Some(Port::reserve(config.address, config.shutdown_port)?),
        };
        let shared = Arc::new(Self {
            started: Instant::now(),
            config,
            ready,
            shutdown,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let never = shared.config.on_shutdown.first() == Some(&OnShutdown::Never);
        if shared.shutdown.is_some() || !never {
            Self::listen(&shared, |shared| Some(&shared.ready))?;
        }
        if !never && shared.shutdown.is_some() {
            Self::listen(&shared, |shared| shared.shutdown.as_ref())?;
        }
        Ok(shared)
    }

    /// Opens a port, at once or when it is due, and accepts on it in a thread of its own.
    fn listen(shared: &Arc<Self>, port: PortOf) -> io::Result<()> {
        let late =
            shared.config.unready == Unready::Closed && shared.config.ready_after != Some(Duration::ZERO);
        let open = move |shared: &Self| match port(shared) {
            Some(port) => {
                if shared.config.unready == Unready::Closed {
                    shared.lock().ready_at.get_or_insert_with(Instant::now);
                }
                port.open()
            }
            None => Ok(None),
        };
        let early = if late { None } else { open(shared)? };
        let shared = Arc::clone(shared);
        thread::Builder::new().name("stand-in".to_owned()).spawn(move || {
            let listener = match early {
                Some(listener) => Some(listener),
                None if shared.wait_until_due() => open(&shared).ok().flatten(),
                None => None,
            };
            if let Some(listener) = listener {
                let acceptor = Acceptor { shared, listener, port, idle: AtomicUsize::new(0) };
                Acceptor::grow(&Arc::new(acceptor));
            }
        })?;
        Ok(())
    }

    /// Waits for the moment it is to get ready; false when it went first, or never is.
    fn wait_until_due(&self) -> bool {
        let due = self.config.ready_after.map(|delay| self.started + delay);
        let mut state = self.lock();
        loop {
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            match left {
                _ if state.gone => return false,
                Some(Duration::ZERO) => return true,
                Some(left) => {
                    state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        let due = self.config.ready_after.map(|delay| self.started + delay);
        let ready = due.is_some_and(|due| due <= Instant::now());
        if ready {
            let mut state = self.lock();
            state.ready_at = state.ready_at.or(due);
        }
        ready
    }

    /// What the configuration says about this shutdown request, the first, the second, and so on.
    pub(super) fn next_behaviour(&self) -> OnShutdown {
        let mut state = self.lock();
        let turn = state.shutdowns;
        state.shutdowns += 1;
        let turns = &self.config.on_shutdown;
        turns.get(turn).or(turns.last()).copied().unwrap_or(OnShutdown::Ok)
    }

    pub(super) fn accept_quit(&self) {
        let mut state = self.lock();
        state.quit_at.get_or_insert_with(Instant::now);
        state.unanswered += 1;
        self.changed.notify_all();
    }

    pub(super) fn quit_answered(&self) {
        self.lock().unanswered -= 1;
        self.changed.notify_all();
    }

    /// Closes every port, for good.
    pub(super) fn close(&self) {
        // Held over both, so that who finds a port closed finds it gone as well.
        let mut state = self.lock();
        self.ready.close();
        if let Some(port) = &self.shutdown {
            port.close();
        }
        state.gone = true;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn wait_for(&self, timeout: Duration, reached: impl Fn(&State) -> bool) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, timeout, |state| !reached(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        reached(&state)
    }

    pub(super) fn observe(&self, observer: Observer) {
        self.lock().observers.push(observer);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    pub(super) fn ready_at(&self) -> Option<Instant> {
        self.lock().ready_at
    }

    pub(super) fn quit_at(&self) -> Option<Instant> {
        self.lock().quit_at
    }

    pub(super) fn ready_address(&self) -> SocketAddr {
        self.ready.address()
    }

    pub(super) fn shutdown_address(&self) -> SocketAddr {
        self.shutdown.as_ref().unwrap_or(&self.ready).address()
    }

    pub(super) fn ready_path(&self) -> &'static str {
        self.config.shape.ready_path()
    }

    pub(super) fn shutdown_path(&self) -> &'static str {
        self.config.shape.shutdown_path()
    }

    pub(super) fn record(&self, head: Message, port: u16, status: Option<u16>) {
        let request = Request { method: head.method, path: head.path, port, at: Instant::now(), status };
        let mut state = self.lock();
        state.observers.iter().for_each(|observer| observer(&request));
        state.requests.push(request);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads that accept on one port. Each serves the connection it accepted, so that a quick answer costs
/// no new thread (the benchmark of the wrapper would measure it); a slow one keeps its thread, and another
/// comes.
struct Acceptor {
    shared: Arc<Shared>,
    listener: TcpListener,
    port: PortOf,
    idle: AtomicUsize,
}

/// Beside the accepting thread one more waits, for the connection that comes while the first is being served.
const SPARE_THREADS: usize = 2;

// === impl Acceptor ===

impl Acceptor {
    /// Sees to it that enough threads wait in `accept`.
    fn grow(this: &Arc<Self>) {
        while this.idle.load(Ordering::SeqCst) < SPARE_THREADS {
            this.idle.fetch_add(1, Ordering::SeqCst);
            let acceptor = Arc::clone(this);
            let spawned =
                thread::Builder::new().name("stand-in".to_owned()).spawn(move || Self::run(&acceptor));
            if spawned.is_err() {
                // No thread to be had: those there are must do.
                this.idle.fetch_sub(1, Ordering::SeqCst);
                return;
            }
        }
    }

    fn run(this: &Arc<Self>) {
        let Some(port) = (this.port)(&this.shared) else { return };
        while !port.is_closed() {
            let Ok((stream, _)) = this.listener.accept() else {
                // Closed, or out of descriptors for a moment.
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            if this.idle.fetch_sub(1, Ordering::SeqCst) == 1 {
                Self::grow(this);
            }
            // What goes wrong here went wrong at the client, who knows better.
            let _ = answer::serve(&this.shared, stream, port.address().port());
            if this.idle.load(Ordering::SeqCst) >= SPARE_THREADS {
                return;
            }
            this.idle.fetch_add(1, Ordering::SeqCst);
        }
    }
}
