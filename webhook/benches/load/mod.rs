//! Load on a webhook by `wrk`.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, ensure};
use curfew::serve::PATH;

/// One run of wrk.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
}

/// Sends the review over kept connections for that long.
pub(crate) fn wrk(
    review: &Path,
    address: SocketAddr,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Run> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", time.as_secs()), "-s"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/review.lua"))
        .arg(format!("https://{address}{PATH}?timeout=5s"))
        .env("REVIEW", review)
        .output()
        .context("cannot run wrk: install it (Debian: wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let numbers: Vec<u64> =
        result.unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    let [p50, p99, requests, took_us, failed] = numbers[..] else {
        anyhow::bail!("wrk gave no result: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    ensure!(failed == 0 && requests > 0, "{failed} of {requests} requests failed:\n{text}");
    let per_second = requests as f64 / (took_us as f64 / 1e6);
    Ok(Run { p50_us: p50 as f64, p99_us: p99 as f64, requests, per_second })
}

/// The value in the middle.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
