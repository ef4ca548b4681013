//! Runs a pod's containers as a kubelet does.
//!
//! Init containers in order, then the others, started in order and running together; a postStart hook holds
//! back the next one; `restartPolicy` decides what ends; and the phase follows from the exit codes. Probes
//! are not run.

mod keeper;

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    node::{Node, Placed},
    pod::Container,
    process::Ended,
};
use keeper::Keeper;

/// The phase of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its init containers run.
    Pending,
    /// Not all of its containers have ended.
    Running,
    /// All have, with exit code 0.
    Succeeded,
    /// All have, not all with 0.
    Failed,
}

/// What is known of a container.
#[derive(Debug, Clone)]
pub(super) struct ContainerState {
    /// Its name.
    pub(super) name: String,
    /// Whether it runs now.
    pub(super) running: bool,
    /// How it ended, the last time.
    pub(super) ended: Option<Ended>,
    /// How often it was started again.
    pub(super) restarts: u32,
}

/// What is known of a pod.
#[derive(Debug, Clone)]
pub(super) struct PodState {
    /// Its phase.
    pub(super) phase: Phase,
    /// Its containers, in their order.
    pub(super) containers: Vec<ContainerState>,
    /// When the last of them ended, if all have.
    pub(super) finished_at: Option<Instant>,
    /// Why it could not be run.
    pub(super) error: Option<String>,
}

/// A pod that runs.
#[derive(Debug)]
pub(super) struct RunningPod {
    /// The pod and its place.
    pub(super) placed: Placed,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<PodState>,
    order: Mutex<Order>,
    changed: Condvar,
}

/// What somebody wants of the pod's thread.
#[derive(Debug, Default)]
struct Order {
    stop: bool,
    /// A container to end, as with `kubectl exec … kill 1`.
    end: Option<String>,
}

// === impl PodState ===

impl PodState {
    /// The state of one container.
    pub(super) fn container(&self, name: &str) -> Option<&ContainerState> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

// === impl RunningPod ===

impl RunningPod {
    /// Starts the pod.
    ///
    /// # Errors
    /// When its folders cannot be made or there is no thread to be had.
    pub(super) fn start(node: &Arc<Node>, placed: Placed) -> io::Result<Self> {
        placed.prepare(node)?;
        let container = |one: &Container| ContainerState {
            name: one.name.clone(),
            running: false,
            ended: None,
            restarts: 0,
        };
        let containers = placed.pod.spec.containers.iter().map(container).collect();
        let state = PodState { phase: Phase::Pending, containers, finished_at: None, error: None };
        let shared = Shared { state: Mutex::new(state), order: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let keeper = Keeper { node: Arc::clone(node), placed: placed.clone(), shared: Arc::clone(&shared) };
        let thread = thread::Builder::new().name("kubelet".to_owned()).spawn(move || keeper.run())?;
        Ok(Self { placed, shared, thread: Some(thread) })
    }

    /// Its state now.
    pub(super) fn state(&self) -> PodState {
        self.shared.lock().clone()
    }

    /// Waits until its state is as wanted; false when `timeout` passes first.
    pub(super) fn wait(&self, timeout: Duration, wanted: impl Fn(&PodState) -> bool) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, timeout, |state| !wanted(state));
        wanted(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Ends one container from outside, with SIGTERM.
    pub(super) fn end_container(&self, name: &str) {
        self.shared.order().end = Some(name.to_owned());
    }

    /// Ends all of it and waits for that.
    pub(super) fn stop(&mut self) {
        self.shared.order().stop = true;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the runtime; here only the end counts.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningPod {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, PodState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut PodState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
