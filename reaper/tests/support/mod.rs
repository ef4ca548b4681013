//! Runs the real binary, as it is or as PID 1 of a PID namespace, and watches it from outside.
//!
//! `CURFEW_REAPER` names another binary than the one cargo built, `CURFEW_REAPER_RUNNER` what has to run it
//! (`qemu-aarch64-static`).
#![allow(dead_code, reason = "no test file needs all of it")]
#![allow(unreachable_pub, unused_imports, reason = "every test file is a crate of its own")]

mod message_file;
pub mod pod;
mod process;
mod waiting;

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use message_file::MessageFile;
pub use process::{bits, children, kill, sleeps_for_good, status_bits};
use tempfile::{NamedTempFile, TempDir};
pub use waiting::{PATIENCE, asked_once, at_once, eventually};

/// Makes two tests of one: the wrapper as any process, and as PID 1.
#[macro_export]
macro_rules! plain_and_as_pid_one {
    ($(fn $name:ident($place:ident: Place) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn run($place: Place) $body
            #[test]
            fn plain() { run(Place::Plain); }
            #[test]
            fn as_pid_one() { run(Place::PidOne); }
        }
    )*};
}

/// Where the wrapper runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Plain,
    PidOne,
}

pub fn binary() -> PathBuf {
    env::var_os("CURFEW_REAPER").map_or_else(|| env!("CARGO_BIN_EXE_curfew-reaper").into(), PathBuf::from)
}

/// The program that does nothing; cargo puts both into one directory.
pub fn no_op() -> PathBuf {
    env::var_os("CURFEW_REAPER").map_or_else(
        || env!("CARGO_BIN_EXE_curfew-noop").into(),
        |reaper| PathBuf::from(reaper).with_file_name("curfew-noop"),
    )
}

pub fn runner() -> Option<OsString> {
    env::var_os("CURFEW_REAPER_RUNNER").filter(|runner| !runner.is_empty())
}

/// The binary's command line, its runner in front.
pub fn program() -> Vec<OsString> {
    runner().into_iter().chain([binary().into()]).collect()
}

/// Whether the binary needs no loader, as the one that is shipped; only what cargo test builds needs one.
pub fn is_static() -> bool {
    const INTERPRETER: [u8; 4] = 3u32.to_le_bytes();
    let elf = fs::read(binary()).expect("read the binary");
    let number = |at: usize, length: usize| {
        elf[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).all(|entry| elf[table + entry * size..][..4] != INTERPRETER)
}

type Adjustment = Box<dyn FnOnce(&mut Command)>;

/// A run of the wrapper that is being put together.
pub struct Wrapper {
    place: Place,
    program: PathBuf,
    prefix: Vec<OsString>,
    arguments: Vec<OsString>,
    adjust: Vec<Adjustment>,
    leads_group: bool,
}

impl Wrapper {
    /// `await` without any flag.
    pub fn new(place: Place) -> Self {
        Self::raw(place).args(["await"])
    }

    /// The bare program.
    pub fn raw(place: Place) -> Self {
        Self {
            place,
            program: binary(),
            prefix: Vec::new(),
            arguments: Vec::new(),
            adjust: Vec::new(),
            leads_group: true,
        }
    }

    /// Under another name.
    pub fn called(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(args.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Keeps it from becoming the command, where a test is about the process that stays.
    pub fn staying(self, tombstones: &TempDir) -> Self {
        let directory = tombstones.path().to_owned();
        self.args(["--mains", "9", "--name", "main", "--tombstones"]).args([directory])
    }

    pub fn command<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Self {
        self.args(["--"]).args(command)
    }

    pub fn shell(self, script: &str) -> Self {
        self.command(["sh", "-c", script])
    }

    /// A program that shall exec it, with its arguments.
    pub fn under<S: AsRef<OsStr>>(mut self, prefix: impl IntoIterator<Item = S>) -> Self {
        self.prefix = prefix.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    pub fn adjust(mut self, adjust: impl FnOnce(&mut Command) + 'static) -> Self {
        self.adjust.push(Box::new(adjust));
        self
    }

    /// Leaves it in the process group it is born into.
    pub fn without_own_group(mut self) -> Self {
        self.leads_group = false;
        self
    }

    pub fn start(self) -> Running {
        let stdout = NamedTempFile::new().expect("a temporary file");
        let stderr = NamedTempFile::new().expect("a temporary file");
        let mut words: Vec<OsString> = Vec::new();
        if self.place == Place::PidOne {
            words.extend(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"].map(OsString::from));
            if !rustix::process::geteuid().is_root() {
                words.extend(["--user", "--map-root-user"].map(OsString::from));
            }
            words.push("--".into());
        }
        words.extend(
            self.prefix.into_iter().chain(runner()).chain([self.program.into()]).chain(self.arguments),
        );
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command.stdout(stdout.reopen().expect("open")).stderr(stderr.reopen().expect("open"));
        if self.leads_group {
            command.process_group(0);
        }
        self.adjust.into_iter().for_each(|adjust| adjust(&mut command));
        let started = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {words:?}: {error}"));
        let leads_group = self.leads_group;
        Running { child, place: self.place, stdout, stderr, leads_group, started }
    }

    /// Runs it to its end; it must be silent but for what the command says on stdout.
    pub fn run(self) -> Ended {
        self.start().finish()
    }
}

/// A wrapper that runs.
pub struct Running {
    child: Child,
    place: Place,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
    leads_group: bool,
    pub started: Instant,
}

/// What became of it.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub took: Duration,
}

impl Running {
    /// The PID of what was started, whatever it is by now.
    pub fn started_pid(&self) -> u32 {
        self.child.id()
    }

    /// The wrapper's PID, seen from here, once it has taken over its signals.
    pub fn pid(&self) -> u32 {
        let outer = self.child.id();
        eventually("the wrapper has taken over its signals", || {
            let pid = if self.place == Place::PidOne { *children(outer).first()? } else { outer };
            // Its signalfd is open, so all are blocked.
            let mut descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok);
            let is_signalfd = |link: PathBuf| link.as_os_str() == "anon_inode:[signalfd]";
            let found = descriptors.any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(is_signalfd));
            found.then_some(pid)
        })
    }

    /// The command's PID, seen from here.
    pub fn command_pid(&self) -> u32 {
        let pid = self.pid();
        eventually("the command runs", || children(pid).first().copied())
    }

    pub fn signal(&self, number: i32) {
        kill(self.pid(), number);
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(self.stdout.path()).expect("read stdout")
    }

    /// Waits until the command has said this.
    pub fn says(&self, text: &str) {
        eventually(&format!("the command says {text:?}"), || self.stdout().contains(text).then_some(()));
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Ended {
        let status = self.end();
        let took = self.started.elapsed();
        let stderr = fs::read_to_string(self.stderr.path()).expect("read stderr");
        assert_eq!(stderr, "", "nothing is written to stderr");
        let code = status.code().unwrap_or_else(|| panic!("ended by {status} instead of an exit code"));
        Ended { code, stdout: self.stdout(), took }
    }

    /// Waits for the end, whichever it is.
    pub fn end(&mut self) -> ExitStatus {
        eventually("the wrapper ends", || self.child.try_wait().expect("wait"))
    }
}

impl Drop for Running {
    #[allow(clippy::print_stderr, reason = "shown with the failed test's output")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("what was running:\n{}", process::tree(self.child.id()));
        }
        // The whole group: a wrapper that is killed can take nobody with it.
        if self.leads_group {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}
