//! Processes, seen from outside.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    process::Command,
};

use super::{Running, eventually};

/// Sends a signal by number; rustix and the standard library know no real-time ones.
pub fn kill(pid: u32, number: i32) {
    let status =
        Command::new("kill").args([format!("-{number}"), pid.to_string()]).status().expect("run kill");
    assert!(status.success(), "kill -{number} {pid}");
}

/// Direct children, zombies included.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// This process and all below it: what each does, and what becomes of which signal.
pub fn tree(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let told =
        |line: &&str| ["Name", "State", "Pid", "Sig", "Shd"].iter().any(|field| line.starts_with(field));
    let own = status.lines().filter(told).collect::<Vec<_>>().join(", ").replace('\t', " ");
    children(pid).into_iter().map(tree).fold(own, |all, below| format!("{all}\n{below}"))
}

/// A field of `/proc/PID/status` that is a number in base 16.
pub fn status_bits(pid: u32, field: &str) -> Option<u64> {
    bits(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, field)
}

pub fn bits(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Waits until it sleeps with nothing due: a wrapper while its command runs, a reaper once all it is told to watch is
/// watched and every sidecar was seen up, but for the look it takes now and then.
pub fn sleeps_for_good(running: &Running) {
    let pid = running.pid();
    eventually("it sleeps without a timeout, or with a long one", || {
        // The system call's number and its arguments: ppoll's third points to the timeout.
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let timeout = call.split_whitespace().nth(3)?.strip_prefix("0x")?.to_owned();
        let timeout = u64::from_str_radix(&timeout, 16).ok()?;
        let mut seconds = [0; 8];
        let is_long = timeout == 0 || {
            File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut seconds, timeout).ok()?;
            i64::from_ne_bytes(seconds) >= 10
        };
        is_long.then_some(())
    });
}
