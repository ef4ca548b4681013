//! What wrapper and reaper take while there is nothing to do.

use std::{
    fs,
    io::{self, Read},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::proc::{cpu_time, status_kb};
use crate::standin::StandIn;

/// What a program took while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Resident memory, in kB.
    pub rss_kb: u64,
    /// The part of it that is its own, in kB.
    pub anonymous_kb: u64,
    /// Processor time until it waited, its start included.
    pub start: Duration,
    /// Processor time since then.
    pub waiting: Duration,
}

/// Measures both over the same `period`: `await` while its command runs, and `reap` while a main does.
///
/// # Errors
/// When one cannot be started or ends early, or the kernel does not tell.
pub fn idle(reaper: &Path, period: Duration) -> io::Result<[Idle; 2]> {
    let proxy = StandIn::linkerd(Ipv4Addr::LOCALHOST).any_port().start()?;
    let pod = tempfile::tempdir()?;
    let done = pod.path().join("done");
    fs::write(&done, "")?;
    // Each ends with its input or a kill, so nothing is left behind whatever happens here.
    let mut wrapper = Command::new(reaper)
        .args(["await", "--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()])
        .args(["--", "/bin/sh", "-c", "echo started; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let reaping = Command::new(reaper)
        .args(["reap", "--uid", "none", "--mains", "1", "--shutdown", &proxy.shutdown_url()])
        .args(["--done".as_ref(), done.as_os_str(), "--tombstones".as_ref(), pod.path().as_os_str()])
        .spawn();
    let mut first = [0];
    let said = wrapper.stdout.as_mut().map_or(Ok(()), |stdout| stdout.read_exact(&mut first));
    let measured = match reaping {
        Ok(mut reaping) => {
            let measured = said.and_then(|()| measure([&wrapper, &reaping], period));
            reaping.kill()?;
            reaping.wait()?;
            measured
        }
        Err(error) => Err(error),
    };
    drop(wrapper.stdin.take());
    wrapper.wait()?;
    measured
}

fn measure(programs: [&Child; 2], period: Duration) -> io::Result<[Idle; 2]> {
    let pids = programs.map(Child::id);
    for pid in pids {
        settle(pid)?;
    }
    let before = [cpu_time(pids[0])?, cpu_time(pids[1])?];
    thread::sleep(period);
    let one = |pid: u32, start: Duration| {
        Ok::<_, io::Error>(Idle {
            rss_kb: status_kb(pid, "VmRSS")?,
            anonymous_kb: status_kb(pid, "RssAnon")?,
            start,
            waiting: cpu_time(pid)?.saturating_sub(start),
        })
    };
    Ok([one(pids[0], before[0])?, one(pids[1], before[1])?])
}

/// Waits until it has taken no time for a while.
fn settle(pid: u32) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut last = cpu_time(pid)?;
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = cpu_time(pid)?;
        if now == last && !now.is_zero() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("process {pid} never comes to rest")));
        }
        last = now;
    }
}
