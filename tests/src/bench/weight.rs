//! What the wrapper weighs: on disk, and in memory while its command runs.

use std::{
    fs,
    io::{self, Read},
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use super::proc::status_kb;
use crate::standin::StandIn;

/// Sizes of one wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// The file, in bytes.
    pub file: u64,
    /// Resident memory while the command runs, in kB.
    pub rss_kb: u64,
    /// The part of it that is its own, in kB.
    pub anonymous_kb: u64,
}

/// Measures it around a command that has started and waits.
///
/// # Errors
/// When it cannot be started, or the kernel does not tell.
pub fn weigh(reaper: &Path) -> io::Result<Weight> {
    let proxy = StandIn::linkerd(Ipv4Addr::LOCALHOST).any_port().start()?;
    let mut wrapper = Command::new(reaper)
        .args(["await", "--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()])
        // `cat` ends with its input, so nothing is left behind whatever happens here.
        .args(["--", "/bin/sh", "-c", "echo started; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut first = [0];
    let said = wrapper.stdout.as_mut().map_or(Ok(()), |stdout| stdout.read_exact(&mut first));
    let pid = wrapper.id();
    let measured = said.and_then(|()| {
        Ok(Weight {
            file: fs::metadata(reaper)?.len(),
            rss_kb: status_kb(pid, "VmRSS")?,
            anonymous_kb: status_kb(pid, "RssAnon")?,
        })
    });
    drop(wrapper.stdin.take());
    wrapper.wait()?;
    measured
}
