//! kubectl, curl, and the hook that holds a container back until Linkerd's proxy is ready.

use std::{
    env,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use super::has_network;

/// curl's own code for a refused connection; it is no reason to retry for `--retry`.
const CURL_REFUSED: u8 = 7;
/// A shell's code for a program that is not there.
const NOT_FOUND: u8 = 127;
/// As the pods ask the hook for.
const AWAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// `kubectl`: talks to the API server, so it needs its network.
pub(super) fn kubectl(args: &[String]) -> ExitCode {
    if !has_network() {
        eprintln!(
            "The connection to the server 10.96.0.1:443 was refused - did you specify the right host or port?"
        );
        return ExitCode::FAILURE;
    }
    let name = args.last().map(String::as_str).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("apply") => println!("testrun.k6.io/k6-sample created"),
        Some("delete") if args.iter().any(|arg| arg == "--ignore-not-found") => {}
        _ => {
            eprintln!("Error from server (NotFound): testruns.k6.io \"{name}\" not found");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// `curl`: without a proxy its connection is refused; with one, the real curl takes over.
pub(super) fn curl(args: &[String]) -> ExitCode {
    if !has_network() {
        eprintln!("curl: (7) Failed to connect: Connection refused");
        return ExitCode::from(CURL_REFUSED);
    }
    let Some(real) = real_curl() else {
        eprintln!("curl: not found");
        return ExitCode::from(NOT_FOUND);
    };
    let error = Command::new(real).args(args).exec();
    eprintln!("curl: {error}");
    ExitCode::FAILURE
}

/// The first curl in the PATH that is not this program.
fn real_curl() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join("curl"));
    found.filter_map(|curl| curl.canonicalize().ok()).find(|curl| *curl != own)
}

/// `linkerd-await`, as the postStart hook of a classic Linkerd proxy.
pub(super) fn linkerd_await(_: &[String]) -> ExitCode {
    let until = Instant::now() + AWAIT_TIMEOUT;
    while Instant::now() < until {
        if has_network() {
            return ExitCode::SUCCESS;
        }
        thread::sleep(Duration::from_millis(20));
    }
    ExitCode::FAILURE
}
