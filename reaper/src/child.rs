//! Starting the command, and reaping it together with whatever was orphaned to us.

use std::{ffi::CString, io, os::fd::AsFd};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, WaitOptions, WaitStatus},
};

use crate::{
    signals::{self, Caught, Signals},
    sys,
};

/// Orphans of the command come to us to be reaped: to PID 1 they do anyway.
pub(crate) fn adopt_orphans() {
    let me = rustix::process::getpid();
    if !me.is_init() {
        // Without it orphans go to somebody else who reaps, so a refusal does no harm.
        let _ = rustix::process::set_child_subreaper(Some(me));
    }
}

/// Reaps whoever has ended, without waiting.
pub(crate) fn reap() {
    reap_until(None);
}

/// A started command.
pub(crate) struct Running(Pid);

// === impl Running ===

impl Running {
    /// Starts the command.
    ///
    /// # Errors
    /// The exit code a shell would give (126, 127), and the reason.
    pub(crate) fn start(command: &[CString]) -> Result<Self, (u8, io::Error)> {
        let started = sys::spawn(command);
        // The same call succeeded before.
        let _ = signals::block();
        started.map(Self).map_err(|error| (code_for(&error), error))
    }

    /// Passes signals on until the command has ended; its exit code, or 128+n.
    pub(crate) fn supervise(self, signals: &Signals) -> u8 {
        sys::let_go_of_code();
        loop {
            let mut readable = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
            // An interrupted or failed poll is no reason to leave the command alone: look, and wait again.
            let _ = poll(&mut readable, None);
            while let Some(caught) = signals.next() {
                if let Some(code) = self.handle(caught) {
                    return code;
                }
            }
        }
    }

    fn handle(&self, caught: Caught) -> Option<u8> {
        if caught.number == libc::SIGCHLD {
            return reap_until(Some(self.0)).map(code_of);
        }
        if caught.is_for_the_command() {
            // The PID is ours until it is reaped, so the only refusal left is a command that changed its user.
            let _ = sys::kill(self.0, caught.number);
        }
        None
    }
}

/// Replaces this process by the command; returns what [`Running::start`] would if that fails.
pub(crate) fn become_command(command: &[CString]) -> (u8, io::Error) {
    let error = sys::exec(command);
    (code_for(&error), error)
}

/// Reaps everybody who has ended; the status of `command` if it was among them.
fn reap_until(command: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if Some(pid) == command {
            found = Some(status);
        }
    }
    found
}

fn code_of(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        // Neither can be: we do not ask for stopped children.
        (None, None) => 255,
    };
    // The kernel keeps eight bits of an exit code, and there are 64 signals.
    code.to_le_bytes()[0]
}

fn code_for(error: &io::Error) -> u8 {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => 127,
        _ => 126,
    }
}
