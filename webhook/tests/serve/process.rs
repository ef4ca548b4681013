//! The server as a program: flags, the announcement, signals and exit codes.

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Ends with the test, whatever became of it.
struct Program(Child);

fn curfew(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    command.args(["serve", "--offline"]).args(flags).stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

fn start(announce: &Path, drain_delay: &str) -> Program {
    let child = curfew(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--self-signed"])
        .args(["--log-format", "json", "--drain-delay", drain_delay, "--announce"])
        .arg(announce)
        .spawn()
        .unwrap();
    let program = Program(child);
    until("the announcement", || announce.exists().then_some(()));
    program
}

fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(10));
    }
}

impl Program {
    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        until("the end of the program", || self.0.try_wait().unwrap())
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn either_signal_drains_and_ends_with_0() {
    for name in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let mut program = start(&dir.path().join("announce.json"), "0s");
        program.signal(name);
        assert_eq!(program.ended().code(), Some(0), "{name}");
        let log = program.log();
        for line in log.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for part in ["\"webhook\":\"127.0.0.1:", "\"admin\":\"127.0.0.1:", "\"signal\":\"SIG", "\"Drained\""]
        {
            assert!(log.contains(part), "{part} in\n{log}");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = start(&dir.path().join("announce.json"), "1h");
    program.signal("TERM");
    // Signals of one kind that are pending together arrive as one, so the second is of the other kind.
    program.signal("INT");
    assert_eq!(program.ended().code(), Some(1));
}

#[test]
fn a_mistake_ends_it_before_it_listens_and_names_the_flag() {
    for (flags, part) in [
        (&[][..], "--self-signed"),
        (&["--tls-cert", "/nowhere/crt", "--tls-key", "/nowhere/key"], "/nowhere/crt"),
        (&["--self-signed", "--listen", "192.0.2.1:1"], "--listen 192.0.2.1:1"),
        (&["--self-signed", "--log", "info,=="], "--log"),
        (&["--self-signed", "--config", "/nowhere/config"], "/nowhere/config"),
    ] {
        let output = curfew(flags).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {text}");
        assert!(text.contains(part), "{flags:?}: {text}");
    }
}

#[test]
fn variables_stand_in_for_flags() {
    let dir = tempfile::tempdir().unwrap();
    let announce = dir.path().join("announce.json");
    let child = Command::new(env!("CARGO_BIN_EXE_curfew"))
        .arg("serve")
        .env("CURFEW_LISTEN", "127.0.0.1:0")
        .env("CURFEW_ADMIN_LISTEN", "127.0.0.1:0")
        .env("CURFEW_SELF_SIGNED", "true")
        .env("CURFEW_OFFLINE", "true")
        .env("CURFEW_DRAIN_DELAY", "0s")
        .env("CURFEW_ANNOUNCE", &announce)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut program = Program(child);
    until("the announcement", || announce.exists().then_some(()));
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
}
