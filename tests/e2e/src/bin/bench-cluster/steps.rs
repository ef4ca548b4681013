//! The steps of one pod's end under the reaper.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use curfew_e2e::{Shape, Space, ended, process_of};
use curfew_tests::{report::Table, stats::Sample};
use tokio::time::{interval, timeout};

use crate::{PATIENCE, now};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// When each was first seen, by the machine's uptime; how long after the main's exit, in the end.
pub(crate) struct Steps([Duration; 5]);

const NAMES: [&str; 5] = [
    "the pod's status says that the main ended: the kubelet's look",
    "the annotation is there: the watch and its patch",
    "the proxy's process is gone: projected, read, quit",
    "the reaper's process is gone: it has seen so itself",
    "the pod's status says that all ended: the kubelet's next look",
];

// === impl Steps ===

impl Steps {
    /// The same, counted from the main's exit.
    pub(crate) fn since(self, exited: Duration) -> Self {
        Self(self.0.map(|at| at.saturating_sub(exited)))
    }
}

/// Follows the pod of a Job to its end.
pub(crate) async fn follow(space: &Space, job: &str) -> Result<Steps> {
    let mut seen: [Option<Duration>; 5] = [None; 5];
    let mut processes: [Option<PathBuf>; 2] = [None, None];
    let mut looks = interval(LOOK);
    let whole = async {
        loop {
            looks.tick().await;
            for (process, step) in processes.iter().zip([2, 3]) {
                if seen[step].is_none() && process.as_ref().is_some_and(|process| !process.exists()) {
                    seen[step] = Some(now()?);
                }
            }
            let Some(pod) = space.pods_of(job).await?.pop() else { continue };
            for (process, name) in processes.iter_mut().zip([Shape::Linkerd.proxy(), "curfew-reaper"]) {
                if process.is_none() {
                    *process = process_of(&pod, name);
                }
            }
            let uid = pod.metadata.uid.as_ref();
            let told = pod.metadata.annotations.as_ref().and_then(|all| all.get("curfew.dev/done")) == uid;
            let all = ["main", "curfew-reaper", Shape::Linkerd.proxy()];
            for (step, is) in [
                (0, ended(&pod, "main").is_some()),
                (1, told),
                (4, all.iter().all(|name| ended(&pod, name).is_some())),
            ] {
                if is && seen[step].is_none() {
                    seen[step] = Some(now()?);
                }
            }
            ensure!(
                seen[4].is_none() || processes.iter().all(Option::is_some),
                "{job} has no processes here"
            );
            if let [Some(a), Some(b), Some(c), Some(d), Some(e)] = seen {
                return Ok(Steps([a, b, c, d, e]));
            }
        }
    };
    timeout(PATIENCE, whole).await?
}

/// All of them in a table.
pub(crate) fn table(all: &[Steps]) -> Table {
    let mut table = Table::new(&["since the main's exit", "p50", "p95"]);
    for (step, name) in NAMES.into_iter().enumerate() {
        let sample = Sample::new(all.iter().map(|steps| steps.0[step]).collect());
        let seconds = |value: Duration| format!("{:.2} s", value.as_secs_f64());
        table.row([name.to_owned(), seconds(sample.median()), seconds(sample.percentile(95))]);
    }
    table
}
