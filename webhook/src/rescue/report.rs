//! What is told of pods that hang.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Hanging, Kind, Outcome, judge::age};

const HEAD: [&str; 6] = ["NAMESPACE", "POD", "HANGS-SINCE", "SIDECARS", "HOW", "NOTE"];

/// The pods found, in columns.
pub fn table(pods: &[Hanging], now: Timestamp) -> String {
    let rows: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(pods.iter().map(|pod| {
            let since = pod.since.map_or("?".to_owned(), |since| ago(age(since, now).as_secs()));
            let sidecars: Vec<_> = pod.sidecars.iter().map(|holder| holder.container.as_str()).collect();
            [pod.namespace.clone(), pod.pod.clone(), since, sidecars.join(","), how(pod), note(pod)]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// What became of one pod, on one line.
pub fn line(pod: &Hanging, outcome: &Outcome) -> String {
    let Outcome { ended, did, seconds, .. } = outcome;
    let how = ended.as_deref().unwrap_or("still hangs");
    format!("{}: {how} after {seconds:.1} s ({})", pod.name(), did.join("; "))
}

/// The pods found, and what became of those that were let go.
pub fn found_as_json(pods: &[Hanging], outcomes: &[Option<Outcome>]) -> Value {
    #[derive(Serialize)]
    struct Found<'a> {
        #[serde(flatten)]
        pod: &'a Hanging,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<&'a Outcome>,
    }
    let outcome = |index: usize| outcomes.get(index).and_then(Option::as_ref);
    let found: Vec<_> =
        pods.iter().enumerate().map(|(index, pod)| Found { pod, outcome: outcome(index) }).collect();
    // Strings, numbers and lists of them always serialise.
    serde_json::to_value(found).unwrap_or_default()
}

/// What would be done, each kind of it once.
fn how(pod: &Hanging) -> String {
    if pod.left.is_some() {
        return "left".to_owned();
    }
    if pod.hopeless().is_some() {
        return "none".to_owned();
    }
    let mut ways: Vec<&str> = Vec::new();
    for holder in &pod.sidecars {
        let way = match (&holder.kind, holder.no_swap.is_none()) {
            (Kind::Sidecar { endpoint: Some(_), .. }, true) => "endpoint, else image",
            (Kind::Sidecar { endpoint: Some(_), .. }, false) => "endpoint",
            (Kind::Reaper { told: false, waits: None }, _) => "signal",
            (Kind::Reaper { told: true, waits: None }, _) => "wait",
            _ => "image",
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways.join("; ")
}

fn note(pod: &Hanging) -> String {
    if let Some(why) = pod.left.clone().or_else(|| pod.hopeless()) {
        return why;
    }
    let mut notes = Vec::new();
    for holder in &pod.sidecars {
        let name = &holder.container;
        match (&holder.kind, &holder.no_swap) {
            (Kind::Sidecar { no_endpoint: Some(why), .. }, _) => notes.push(format!("{name}: {why}")),
            (Kind::Sidecar { endpoint: Some(url), .. }, Some(why)) => {
                notes.push(format!("{name}: {url} only, for {why}"));
            }
            (Kind::Sidecar { .. }, _) => {}
            (Kind::Reaper { waits: Some(state), .. }, _) => {
                notes.push(format!("{name}: does not run, as it is in {state}"));
            }
            (Kind::Reaper { told: true, .. }, _) => {
                notes.push(format!("{name}: was told that the mains are done, and has not left yet"));
            }
            (Kind::Reaper { .. }, _) => notes.push(format!("{name}: never told that the mains are done")),
            (Kind::Noop { state }, _) => notes.push(format!("{name}: has the no-op image, and is {state}")),
        }
    }
    if pod.swap_counts_as_restart && pod.swaps() > 0 {
        notes.push(format!("a swapped image counts as a restart: {}", what_a_restart_does(pod)));
    }
    notes.join("; ")
}

/// A Job with pods that restart their containers is given up once these restarts reach its `backoffLimit`, the first one
/// with 0, unless its controller sees the pod Succeeded before it sees the restart. Those of its other pods count as well.
fn what_a_restart_does(pod: &Hanging) -> String {
    let restarts = pod.restarts.saturating_add(pod.swaps());
    match pod.backoff_limit {
        None => "with a backoffLimit of 0 or 1 the Job may fail".to_owned(),
        Some(limit) if restarts >= limit => format!("the Job's backoffLimit is {limit}, so it may fail"),
        Some(limit) => format!("the Job's backoffLimit of {limit} takes it"),
    }
}

/// As kubectl tells an age.
fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
