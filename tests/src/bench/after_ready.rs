//! How soon after its proxy is ready a command starts, and what the wait costs.

use std::{
    io::{self, Read},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::proc::cpu_time;
use crate::{standin::StandIn, stats::Sample};

/// Longer than any proxy here takes.
const TIMEOUT: &str = "120s";

/// The proxies that get ready "at the same time" do so within this.
const SPREAD: Duration = Duration::from_millis(50);

/// One awaited start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From the proxy's readiness to the command's first byte.
    pub delay: Duration,
    /// The wrapper's processor time up to then, its own start included, as a share of one core.
    pub cpu_share: f64,
}

/// All starts beside proxies that got ready after the same time.
#[derive(Debug, Clone)]
pub struct Waited {
    /// When the proxies got ready.
    pub ready_after: Duration,
    /// The delays.
    pub delay: Sample,
    /// The largest share of a core any of the wrappers took.
    pub cpu_share: f64,
}

/// Starts `parallel` wrappers for each of the times, all at once, and waits for all of them.
///
/// # Errors
/// When a wrapper cannot be started, says nothing, or its proxy never got ready.
pub fn starts_after_ready(reaper: &Path, times: &[Duration], parallel: usize) -> io::Result<Vec<Waited>> {
    thread::scope(|scope| {
        let start = |&ready_after: &Duration| {
            let one = |spread: Duration| scope.spawn(move || awaited(reaper, ready_after + spread));
            let spreads = (0..parallel).map(|index| spread(index, parallel));
            (ready_after, spreads.map(one).collect::<Vec<_>>())
        };
        let running: Vec<_> = times.iter().map(start).collect();
        let finish =
            |(ready_after, threads): (Duration, Vec<thread::ScopedJoinHandle<'_, io::Result<Start>>>)| {
                let join = |thread: thread::ScopedJoinHandle<'_, io::Result<Start>>| {
                    thread.join().unwrap_or_else(|_| Err(io::Error::other("a measuring thread panicked")))
                };
                let starts = threads.into_iter().map(join).collect::<io::Result<Vec<Start>>>()?;
                let delay = Sample::new(starts.iter().map(|start| start.delay).collect());
                let cpu_share = starts.iter().map(|start| start.cpu_share).fold(0.0, f64::max);
                Ok(Waited { ready_after, delay, cpu_share })
            };
        running.into_iter().map(finish).collect()
    })
}

/// Later by so much than the others: were all ready at the same moment, all tries would be in step, and eight
/// measurements one.
fn spread(index: usize, parallel: usize) -> Duration {
    SPREAD.mul_f64(index as f64 / parallel.max(1) as f64)
}

/// Runs one command behind a proxy that gets ready late.
fn awaited(reaper: &Path, ready_after: Duration) -> io::Result<Start> {
    let proxy = StandIn::linkerd(Ipv4Addr::LOCALHOST).any_port().ready_after(ready_after).start()?;
    let spawned = Instant::now();
    let mut wrapper = Command::new(reaper)
        .args(["await", "--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()])
        .args(["--timeout", TIMEOUT, "--", "/bin/echo", "started"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut first = [0];
    let said = match wrapper.stdout.take() {
        Some(mut stdout) => stdout.read_exact(&mut first),
        None => Err(io::Error::other("no pipe")),
    };
    let started = Instant::now();
    // Not yet waited for, so there is at least a zombie to ask.
    let cpu = cpu_time(wrapper.id());
    let status = wrapper.wait()?;
    said.map_err(|error| io::Error::other(format!("no start, {status}: {error}")))?;
    let ready_at =
        proxy.ready_at().ok_or_else(|| io::Error::other("the command ran before its proxy was ready"))?;
    Ok(Start {
        delay: started.saturating_duration_since(ready_at),
        cpu_share: cpu?.as_secs_f64() / started.duration_since(spawned).as_secs_f64(),
    })
}
