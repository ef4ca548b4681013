//! What the kernel says about a process.

use std::{fs, io, time::Duration};

/// Processor time a process has used so far. A zombie still tells.
///
/// `schedstat` counts nanoseconds; `stat` counts ticks of 10 ms, too coarse for a wait of 0.3 s.
pub(super) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = text.split_whitespace().next().and_then(|word| word.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/schedstat: {text:?}")))
}

/// A value in kB from `/proc/PID/status`, such as `VmRSS`.
pub(super) fn status_kb(pid: u32, key: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    field_kb(&text, key).ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no {key}")))
}

/// The same in MB; what `/proc` calls kB has 1024 bytes.
///
/// # Errors
/// There is no such process, or no such value.
pub fn status_mb(pid: u32, key: &str) -> io::Result<f64> {
    Ok(status_kb(pid, key)? as f64 * 1024.0 / 1e6)
}

fn field_kb(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "VmRSSx:\t 9 kB\nVmRSS:\t   332 kB\nRssAnon:\t  36 kB\n";
        assert_eq!(field_kb(status, "VmRSS"), Some(332));
        assert_eq!(field_kb(status, "RssAnon"), Some(36));
        assert_eq!(field_kb(status, "RssFile"), None);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(cpu_time(std::process::id()).is_ok());
    }
}
