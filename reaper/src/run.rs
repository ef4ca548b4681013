//! `await`: wait for the proxies, run the command, quit the proxies.

use std::{ffi::CString, io};

use crate::{
    args::{Await, OnTimeout},
    child::{self, Running},
    drive,
    endpoint::Endpoint,
    kill_rule::ExitCodes,
    message::{self, Message},
    quit::{self, Effort, Sidecar, Wave},
    ready::{self, Verdict},
    signals::{Caught, Signals},
    tombstones::Tombstones,
};

/// The proxy never got ready. EX_UNAVAILABLE of sysexits(3), which commands themselves hardly ever use.
const NEVER_READY: u8 = 69;
/// What a shell says when a command cannot be started.
const CANNOT_START: u8 = 126;

/// Does what `order` says; the exit code.
pub(crate) fn run(order: Await) -> u8 {
    let Await {
        ready,
        shutdown_first,
        shutdown,
        timeout,
        on_timeout,
        quit_on,
        tombstones,
        sidecars_are_optional,
        message,
        command,
    } = order;
    message::silence_panics(message.clone());
    let mut message = Message::new(message);
    let sidecar = if sidecars_are_optional { Sidecar::optional } else { Sidecar::new };
    let waves = [shutdown_first, shutdown].map(|wave| wave.into_iter().map(sidecar).collect());
    let signals = match Signals::take_over() {
        Ok(signals) => signals,
        Err(error) => {
            message.note(format_args!("cannot take over signals: {error}"));
            message.write();
            return CANNOT_START;
        }
    };
    let mut farewell = Farewell::new(waves, quit_on, tombstones, &mut message);

    match ready::wait(&signals, &ready, timeout) {
        Verdict::Ready => farewell.look(&ready),
        Verdict::Signal(signal) => {
            return farewell.bid(&signals, of_signal(signal), Effort::Once, message);
        }
        Verdict::Late(said) => {
            let fails = on_timeout == OnTimeout::Fail;
            let then = if fails { "nothing was started" } else { "going on without" };
            message.note(format_args!("not ready after {timeout:?}, {then}: {said}"));
            if fails {
                return farewell.bid(&signals, NEVER_READY, Effort::Bounded, message);
            }
        }
    }
    if command.is_empty() {
        // The gate.
        message.write();
        return 0;
    }
    // The last look before the command is there to get them itself.
    if let Some(signal) = drive::first(&signals, Caught::is_fatal) {
        return farewell.bid(&signals, of_signal(signal), Effort::Once, message);
    }
    if farewell.is_empty() {
        return replace(signals, &command, message);
    }
    // Only where this process stays: the command would inherit the duty by exec.
    child::adopt_orphans();
    let code = match Running::start(&command) {
        Ok(running) => running.supervise(&signals),
        Err((code, error)) => {
            message.note(cannot_start(&command, &error));
            code
        }
    };
    farewell.bid(&signals, code, Effort::Bounded, message)
}

/// Nothing is left to do afterwards, so no process is kept for it. Returns only if that fails.
fn replace(signals: Signals, command: &[CString], mut message: Message) -> u8 {
    message.write();
    let (code, error) = match signals.hand_back() {
        Ok(()) => child::become_command(command),
        Err(error) => (CANNOT_START, error),
    };
    message.note(cannot_start(command, &error));
    message.write();
    code
}

fn cannot_start(command: &[CString], error: &io::Error) -> String {
    let name = command.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    format!("cannot start {name}: {error}")
}

/// The exit code that stands for death by a signal.
fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// What is left to do when this container has ended.
struct Farewell {
    waves: [Vec<Sidecar>; 2],
    quit_on: ExitCodes,
    tombstones: Option<Tombstones>,
}

// === impl Farewell ===

impl Farewell {
    fn new(
        waves: [Vec<Sidecar>; 2],
        quit_on: ExitCodes,
        tombstones: Option<Tombstones>,
        message: &mut Message,
    ) -> Self {
        if let Some(Err(error)) = tombstones.as_ref().map(Tombstones::clear) {
            message.note(format_args!("cannot clear this container's tombstone: {error}"));
        }
        Self { waves, quit_on, tombstones }
    }

    /// Sees who is up, now that all of `ready` have answered. A sidecar without a ready URL may come later.
    fn look(&mut self, ready: &[Endpoint]) {
        self.waves.iter_mut().flatten().for_each(|sidecar| sidecar.look(ready));
    }

    fn is_empty(&self) -> bool {
        self.waves.iter().all(Vec::is_empty) && self.tombstones.is_none()
    }

    /// Quits the proxies if this was the last that needed them. Returns `code` whatever happens on the way.
    fn bid(&self, signals: &Signals, code: u8, effort: Effort, mut message: Message) -> u8 {
        if self.quit_on.contains(code) && self.is_last(&mut message) {
            self.quit(signals, effort, &mut message);
        }
        message.write();
        code
    }

    fn is_last(&self, message: &mut Message) -> bool {
        match self.tombstones.as_ref().map(Tombstones::write_and_count) {
            None => true,
            Some(Ok(all_finished)) => all_finished,
            // Somebody may still need the proxies, and would fail without; a proxy that stays can still be ended.
            Some(Err(error)) => {
                message.note(format_args!("no proxy was told to quit, the tombstone failed: {error}"));
                false
            }
        }
    }

    fn quit(&self, signals: &Signals, effort: Effort, message: &mut Message) {
        let others_did = || self.tombstones.as_ref().is_some_and(|own| own.mains.saw_proxies_gone());
        let gone = quit::waves(signals, &self.waves, effort, &others_did, message) == Wave::Gone;
        let asked = self.waves.iter().any(|wave| !wave.is_empty());
        // Only if they are: who finds the marker does not ask them again.
        if let (true, Some(tombstones)) = (gone && asked, &self.tombstones)
            && let Err(error) = tombstones.mark()
        {
            message.note(format_args!("cannot leave the marker `quit`: {error}"));
        }
    }
}
