//! Signals: taken over before anything else, then read one by one.

use std::{io, os::fd::OwnedFd};

use rustix::fd::{AsFd, BorrowedFd};

use crate::sys;

/// Raised by the process itself when it does something wrong. Blocked, they would kill it all the same, and if
/// somebody sends one, dying of it is what was wanted.
const SYNCHRONOUS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];
const HIGHEST: i32 = 64;

/// What the terminal sends, it sends to the whole foreground process group: the command has got it already.
const FROM_TERMINAL: [i32; 6] =
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGWINCH];

/// By default these stop, continue or do nothing; every other signal that can be caught ends a process.
const HARMLESS: [i32; 7] =
    [libc::SIGCHLD, libc::SIGCONT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGURG, libc::SIGWINCH];

/// One signal that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    pub(crate) number: i32,
    by_kernel: bool,
}

impl Caught {
    /// True for what a process does not survive unless it takes care.
    pub(crate) fn is_fatal(self) -> bool {
        !HARMLESS.contains(&self.number)
    }

    /// True for what asks a process to leave. Others, like the USR1 of a log rotation, were meant for the command.
    pub(crate) fn asks_to_leave(self) -> bool {
        [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT].contains(&self.number)
    }

    /// True if the command should get it from us.
    pub(crate) fn is_for_the_command(self) -> bool {
        self.number != libc::SIGCHLD && !(self.by_kernel && FROM_TERMINAL.contains(&self.number))
    }
}

/// Every signal of this process that can be caught.
pub(crate) struct Signals(OwnedFd);

// === impl Signals ===

impl Signals {
    /// From here on no signal is lost, also as PID 1, for which the kernel drops what would take its default way.
    pub(crate) fn take_over() -> io::Result<Self> {
        block()?;
        // An inherited "ignore" would have the kernel reap our children, and their exit codes with them.
        sys::set_default(libc::SIGCHLD);
        Ok(Self(sys::signal_descriptor(all())?))
    }

    /// The next one that has come in, if any.
    pub(crate) fn next(&self) -> Option<Caught> {
        // struct signalfd_siginfo: signo, errno and code are its first three words, 128 bytes in all.
        let mut record = [0; 128];
        loop {
            return match rustix::io::read(&self.0, &mut record) {
                Ok(length) if length == record.len() => {
                    let [number, code] = [0, 8].map(|at| {
                        i32::from_ne_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
                    });
                    Some(Caught { number, by_kernel: code == libc::SI_KERNEL })
                }
                Err(rustix::io::Errno::INTR) => continue,
                _ => None,
            };
        }
    }

    /// Gives signals back their usual meaning, for a command about to replace this process.
    ///
    /// One that comes between the last look and the exec ends the process with 128+n, as it would have a moment
    /// before; merely unblocked, PID 1 would lose it.
    pub(crate) fn hand_back(self) -> io::Result<()> {
        for number in 1..=HIGHEST {
            sys::set_default(number);
        }
        for number in catchable().filter(|number| !HARMLESS.contains(number)) {
            sys::exit_upon(number);
        }
        sys::set_blocked(0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks all that can be caught; once more after whatever may have touched the mask.
pub(crate) fn block() -> io::Result<()> {
    sys::set_blocked(all())
}

fn all() -> u64 {
    catchable().fold(0, |set, signal| set | 1 << (signal - 1))
}

fn catchable() -> impl Iterator<Item = i32> {
    (1..=HIGHEST)
        .filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal) && !SYNCHRONOUS.contains(signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_nine_can_be_caught() {
        assert_eq!(catchable().count(), 64 - 9);
    }

    #[test]
    fn what_the_terminal_sent_is_not_sent_again() {
        let interrupt = |by_kernel| Caught { number: libc::SIGINT, by_kernel };
        assert!(interrupt(false).is_for_the_command());
        assert!(!interrupt(true).is_for_the_command());
        // A hang-up goes to the session's leader alone, so it is passed on.
        assert!(Caught { number: libc::SIGHUP, by_kernel: true }.is_for_the_command());
        assert!(!Caught { number: libc::SIGCHLD, by_kernel: false }.is_for_the_command());
    }
}
