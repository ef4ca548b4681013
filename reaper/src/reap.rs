//! `reap`: wait until the pod's mains are done, as the webhook's watch or their own tombstones say, and quit the
//! sidecars.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::AsFd,
};

use crate::{
    args::Reap,
    drive,
    endpoint::Endpoint,
    message::{self, Message},
    quit::{self, Effort, Sidecar},
    signals::{Caught, Signals},
    sys,
    tombstones::Mains,
    watch::Watch,
};

/// Between two looks at what cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(1);
/// Between two looks at what can. In a sandbox (gVisor, Kata Containers) inotify tells nothing of what is written outside of it,
/// and fails at nothing: <https://github.com/google/gvisor/issues/8089>.
const UNTOLD: Duration = Duration::from_secs(20);
/// What the last wrapper gets to quit the sidecars itself, so that they are asked once.
const PRECEDENCE: Duration = Duration::from_secs(1);
/// After the first look at whether the sidecars are up; each pause is twice the last, so that one that never comes up
/// costs a dozen connections an hour, and one that is up none.
const FIRST_PAUSE: Duration = Duration::from_millis(125);
/// A file this long holds no UID, which has 36 characters.
const LONGEST: usize = 128;

/// Does what `order` says; the exit code, which is always 0: no failure of a reaper may be its pod's.
pub(crate) fn run(order: Reap) -> u8 {
    let Reap { done, uid, mains, shutdown_first, shutdown, message } = order;
    message::silence_panics(message.clone());
    let mut message = Message::new(message);
    match Signals::take_over() {
        Ok(signals) => {
            let waves = [shutdown_first, shutdown].map(sidecars);
            Reaper { done, uid, mains, waves, trouble: [None, None] }.run(&signals, &mut message);
        }
        Err(error) => message.note(format_args!("cannot take over signals: {error}")),
    }
    message.write();
    0
}

fn sidecars(wave: Vec<Endpoint>) -> Vec<Sidecar> {
    wave.into_iter().map(Sidecar::new).collect()
}

/// How far the pod is, at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A main runs, or nobody says anything else.
    Running,
    /// All tombstones are there; the last wrapper may be quitting the sidecars right now.
    Finishing,
    /// The mains are done.
    Done,
    /// The sidecars are gone as well.
    Gone,
}

struct Reaper {
    done: PathBuf,
    uid: String,
    mains: Option<Mains>,
    waves: [Vec<Sidecar>; 2],
    /// What is in the way of the two sources, as of the last look.
    trouble: [Option<String>; 2],
}

// === impl Reaper ===

impl Reaper {
    fn run(&mut self, signals: &Signals, message: &mut Message) {
        let effort = self.wait(signals);
        self.trouble.iter_mut().filter_map(Option::take).for_each(|trouble| message.note(trouble));
        if let Some(effort) = effort {
            quit::waves(signals, &self.waves, effort, &|| self.are_gone(), message);
        }
    }

    /// Waits until there is something to do, or nothing any more.
    fn wait(&mut self, signals: &Signals) -> Option<Effort> {
        let (done, mains) = (self.done.clone(), self.mains.clone());
        let beside = done.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut watch =
            Watch::new([beside].into_iter().chain(mains.as_ref().map(Mains::directory)).collect());
        let mut finishing_since = None;
        let mut look = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let leaves = drive::first(signals, Caught::asks_to_leave).is_some();
            // Watch first and look then: what changes in between is noticed.
            let unwatched = watch.renew().is_err();
            let now = Instant::now();
            let state = self.look();
            if now >= look {
                self.look_at_ports();
                look = now + pause;
                pause = pause.saturating_mul(2).min(Duration::from_secs(86_400));
            }
            match state {
                State::Gone => return None,
                State::Running if leaves => return None,
                State::Finishing | State::Done if leaves => return Some(Effort::Once),
                State::Done => return Some(Effort::Patient),
                // The image of one that was never up may still be on its way, for longer than anybody has patience. The
                // watch says when it runs: as long as it does not, it does not hold the pod alone.
                State::Finishing if self.all_were_up() => {
                    if now >= *finishing_since.get_or_insert(now) + PRECEDENCE {
                        return Some(Effort::Bounded);
                    }
                }
                State::Finishing | State::Running => finishing_since = None,
            }
            let due = [
                unwatched.then_some(now + UNWATCHED),
                finishing_since.map(|since| since + PRECEDENCE),
                (!self.all_were_up()).then_some(look),
            ];
            let due = due.into_iter().flatten().min();
            if due.is_none() {
                sys::let_go_of_code();
            }
            let latest = now + UNTOLD;
            sleep(signals, &watch, due.map_or(latest, |due| due.min(latest)));
        }
    }

    /// Judges afresh, whatever was there before.
    fn look(&mut self) -> State {
        let done = self.is_done();
        let finished = self.mains.as_ref().map_or(Ok(false), Mains::are_finished);
        let state = match (&done, &finished) {
            _ if self.are_gone() => State::Gone,
            (Ok(true), _) => State::Done,
            (_, Ok(true)) => State::Finishing,
            _ => State::Running,
        };
        let directory = self.mains.as_ref().map_or(Path::new(""), Mains::directory);
        self.trouble = [trouble(&self.done, done), trouble(directory, finished)];
        state
    }

    /// Whether the file names this pod. Another pod's UID is there because its annotation was copied; that, and
    /// whatever else is no UID, is nobody's business here.
    fn is_done(&self) -> io::Result<bool> {
        // Never waiting, should it be a pipe.
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.done)?;
        let mut text = [0; LONGEST];
        let length = file.read(&mut text)?;
        Ok(length < LONGEST && text[..length].trim_ascii() == self.uid.as_bytes())
    }

    /// Whether the last wrapper says that it saw them go.
    fn are_gone(&self) -> bool {
        self.mains.as_ref().is_some_and(Mains::saw_proxies_gone)
    }

    fn all_were_up(&self) -> bool {
        self.waves.iter().flatten().all(Sidecar::was_up)
    }

    /// When the mains are done, a refusal means *gone* of a sidecar that was up and *not yet* of one that was not, so
    /// it has to be known which are: one that has ended by itself would have its pod wait a minute for it.
    fn look_at_ports(&mut self) {
        let unseen = self.waves.iter_mut().flatten().filter(|sidecar| !sidecar.was_up());
        unseen.for_each(|sidecar| sidecar.look(&[]));
    }
}

fn trouble(path: &Path, looked: io::Result<bool>) -> Option<String> {
    looked.err().map(|error| format!("cannot read {}: {error}", path.display()))
}

/// Until a signal, a change, or that moment.
fn sleep(signals: &Signals, watch: &Watch<'_>, until: Instant) {
    let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    fds.extend(watch.descriptor().map(|watch| PollFd::from_borrowed_fd(watch, PollFlags::IN)));
    let timeout = drive::timespec(until.saturating_duration_since(Instant::now()));
    // Whatever it says, all is looked at afterwards.
    let _ = poll(&mut fds, Some(&timeout));
}
