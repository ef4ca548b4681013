//! A container as a local process.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// As terminationGracePeriodSeconds, but for a demo.
const GRACE: Duration = Duration::from_secs(2);

/// Groups that may still have processes in them, for [`kill_everything`].
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// What to start.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// The whole environment.
    pub(super) env: BTreeMap<String, String>,
    /// Where stdout and stderr go together, as the kubelet keeps them.
    pub(super) log: PathBuf,
    /// The working directory.
    pub(super) dir: PathBuf,
}

/// A running container, in a process group of its own.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Pid,
    command: CommandWatch,
    ended: Option<Ended>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Its exit code; 128+n after signal n, as the kubelet reports it.
    pub(super) code: i32,
    /// When.
    pub(super) at: Instant,
    /// When the command it supervised had ended; its own end if it supervised none.
    pub(super) command_at: Instant,
}

// === impl Process ===

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the program is not there or cannot be started.
    pub(super) fn start(start: &Start) -> io::Result<Self> {
        let Some((program, args)) = start.argv.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a container without a command"));
        };
        let log = OpenOptions::new().create(true).append(true).open(&start.log)?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(&start.env)
            .current_dir(&start.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let group = Pid::from_child(&child);
        groups().push(group);
        let command = CommandWatch::new(child.id());
        Ok(Self { child, group, command, ended: None })
    }

    /// Whether it has ended, and how. To be called often: it is also what notices the end of its command.
    ///
    /// # Errors
    /// When the kernel does not know the process.
    pub(super) fn poll(&mut self) -> io::Result<Option<Ended>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        self.command.look();
        // Only looked at, not yet reaped: so its number is still its own.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(self.group), options)?.is_some() {
            self.reap(Instant::now());
        }
        Ok(self.ended)
    }

    /// Ends it as a kubelet does: SIGTERM, some grace, SIGKILL for the whole group.
    pub(super) fn terminate(&mut self) {
        // To the first process only, which is the container's PID 1.
        if self.ended.is_none() {
            let _ = rustix::process::kill_process(self.group, Signal::TERM);
        }
        let until = Instant::now() + GRACE;
        while matches!(self.poll(), Ok(None)) && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }

    fn kill(&mut self) {
        if self.ended.is_none() {
            self.reap(Instant::now());
        }
    }

    /// With a container's first process go all others, as with a PID namespace.
    fn reap(&mut self, at: Instant) {
        let _ = kill_process_group(self.group, Signal::KILL);
        let Ok(status) = self.child.wait() else { return };
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        self.ended = Some(Ended { code, at, command_at: self.command.ended_at.unwrap_or(at) });
        groups().retain(|group| *group != self.group);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Notices when a supervisor's command is gone: that is when the work has ended, the supervisor ends later.
#[derive(Debug)]
struct CommandWatch {
    children: PathBuf,
    seen: bool,
    ended_at: Option<Instant>,
}

// === impl CommandWatch ===

impl CommandWatch {
    fn new(pid: u32) -> Self {
        let children = Path::new("/proc").join(pid.to_string()).join(format!("task/{pid}/children"));
        Self { children, seen: false, ended_at: None }
    }

    fn look(&mut self) {
        let Ok(children) = fs::read_to_string(&self.children) else { return };
        match (children.trim().is_empty(), self.seen) {
            (false, _) => (self.seen, self.ended_at) = (true, None),
            (true, true) => _ = self.ended_at.get_or_insert_with(Instant::now),
            (true, false) => {}
        }
    }
}

/// Kills all there is, for an end in the middle.
pub fn kill_everything() {
    for group in groups().drain(..) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(folder: &Path, script: &str) -> Process {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let start = Start { argv, env: BTreeMap::new(), log: folder.join("log"), dir: folder.to_owned() };
        Process::start(&start).unwrap()
    }

    fn wait(process: &mut Process) -> Ended {
        loop {
            if let Some(ended) = process.poll().unwrap() {
                return ended;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn stdout_and_stderr_share_a_log_and_the_code_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = start(folder.path(), "echo out; echo err >&2; exit 7");
        assert_eq!(wait(&mut process).code, 7);
        assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "out\nerr\n");
    }

    #[test]
    fn the_end_of_the_command_is_seen_before_its_supervisor_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = start(folder.path(), "sleep 1; exec sleep 2");
        let ended = wait(&mut process);
        assert!(ended.at - ended.command_at >= Duration::from_millis(500), "{ended:?}");
    }

    #[test]
    fn what_a_process_leaves_behind_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = start(folder.path(), "sleep 600 & echo $!");
        assert_eq!(wait(&mut process).code, 0);
        let orphan = fs::read_to_string(folder.path().join("log")).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", orphan.trim())).unwrap_or_default();
        let until = Instant::now() + GRACE;
        // Gone, or a zombie where nobody reaps orphans.
        while !state().is_empty() && !state().contains(") Z ") {
            assert!(Instant::now() < until, "{}", state());
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_process_that_ignores_the_term_signal_is_killed_with_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo up; sleep 30 & while :; do sleep 0.1; done";
        let mut process = start(folder.path(), script);
        // Before that it may not ignore it yet.
        while fs::read_to_string(folder.path().join("log")).unwrap().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        process.terminate();
        assert_eq!(process.poll().unwrap().map(|ended| ended.code), Some(137));
    }
}
