//! Waiting for several proxies and for signals at once, in one thread.

use std::time::{Duration, Instant};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::AsFd,
};

use crate::{
    child,
    http::Exchange,
    signals::{Caught, Signals},
};

/// Something with one proxy that takes several steps.
pub(crate) trait Task {
    /// Goes on as far as that is possible without waiting.
    fn advance(&mut self, now: Instant);
    /// Whether nothing is left to do.
    fn is_done(&self) -> bool;
    /// The exchange under way.
    fn exchange(&self) -> Option<&Exchange>;
    /// When to go on if no exchange is under way.
    fn next(&self) -> Instant;
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All is done.
    Done,
    /// Time is up.
    Late,
    /// This signal.
    Signal(i32),
}

/// Drives `tasks` side by side until all are done, time is up, or a signal comes in that `ends` it.
pub(crate) fn drive<T: Task>(
    signals: &Signals,
    tasks: &mut [T],
    deadline: Instant,
    ends: impl Fn(Caught) -> bool,
) -> End {
    loop {
        if let Some(signal) = first(signals, &ends) {
            return End::Signal(signal);
        }
        let now = Instant::now();
        tasks.iter_mut().filter(|task| !task.is_done()).for_each(|task| task.advance(now));
        if tasks.iter().all(Task::is_done) {
            return End::Done;
        }
        if now >= deadline {
            return End::Late;
        }
        wait(signals, tasks, deadline);
    }
}

/// Takes in all signals that have come, reaping on the way; the first that is `wanted`.
pub(crate) fn first(signals: &Signals, wanted: impl Fn(Caught) -> bool) -> Option<i32> {
    let mut first = None;
    while let Some(caught) = signals.next() {
        if caught.number == libc::SIGCHLD {
            child::reap();
        }
        if wanted(caught) {
            first = first.or(Some(caught.number));
        }
    }
    first
}

fn wait<T: Task>(signals: &Signals, tasks: &[T], deadline: Instant) {
    let pending = || tasks.iter().filter(|task| !task.is_done());
    let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    fds.extend(pending().filter_map(Task::exchange).map(Exchange::interest));
    let due = pending().map(|task| task.exchange().map_or_else(|| task.next(), Exchange::deadline));
    let due = due.fold(deadline, Instant::min);
    let timeout = due.saturating_duration_since(Instant::now());
    // Whatever poll says, each descriptor is tried afterwards; an error here is but an early look.
    let _ = poll(&mut fds, Some(&timespec(timeout)));
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}
