//! Whether traffic may be sent here.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Ready once every [`Gate`] it handed out is dropped, and never again once draining has begun.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
}

/// Holds readiness back until dropped.
#[must_use = "readiness waits for this gate, which opens when it is dropped"]
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    readiness: Readiness,
}

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Traffic is welcome.
    Yes,
    /// These gates are still shut.
    Waiting(Vec<&'static str>),
    /// The process is about to end.
    Draining,
}

#[derive(Debug, Default)]
struct State {
    shut: Vec<&'static str>,
    draining: bool,
}

// === impl Readiness ===

impl Readiness {
    /// Hands out a gate. `name` is shown by `/readyz` for as long as the gate is shut.
    pub fn gate(&self, name: &'static str) -> Gate {
        self.lock().shut.push(name);
        Gate { name, readiness: self.clone() }
    }

    /// How things stand.
    pub fn state(&self) -> Ready {
        let state = self.lock();
        match (state.draining, state.shut.is_empty()) {
            (true, _) => Ready::Draining,
            (false, true) => Ready::Yes,
            (false, false) => Ready::Waiting(state.shut.clone()),
        }
    }

    /// Turns readiness off for good.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one statement, so a panic elsewhere cannot have left it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Gate ===

impl Gate {
    /// Opens the gate; the same as dropping it, but said aloud.
    pub fn open(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut state = self.readiness.lock();
        if let Some(at) = state.shut.iter().position(|name| *name == self.name) {
            state.shut.remove(at);
        }
    }
}

// === impl Ready ===

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("ready"),
            Self::Waiting(names) => write!(f, "not ready: waiting for {}", names.join(", ")),
            Self::Draining => f.write_str("not ready: draining"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_once_every_gate_is_open() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), Ready::Yes);
        let (one, two) = (readiness.gate("one"), readiness.gate("two"));
        assert_eq!(readiness.state().to_string(), "not ready: waiting for one, two");
        one.open();
        assert_eq!(readiness.state(), Ready::Waiting(vec!["two"]));
        drop(two);
        assert_eq!(readiness.state(), Ready::Yes);
    }

    #[test]
    fn gates_of_one_name_are_counted() {
        let readiness = Readiness::default();
        let (one, two) = (readiness.gate("watch"), readiness.gate("watch"));
        one.open();
        assert_eq!(readiness.state(), Ready::Waiting(vec!["watch"]));
        two.open();
        assert_eq!(readiness.state(), Ready::Yes);
    }

    #[test]
    fn draining_is_final() {
        let readiness = Readiness::default();
        let gate = readiness.gate("one");
        readiness.clone().drain();
        assert_eq!(readiness.state(), Ready::Draining);
        gate.open();
        assert_eq!(readiness.state().to_string(), "not ready: draining");
    }
}
