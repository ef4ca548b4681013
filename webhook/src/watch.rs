//! What Curfew follows on the cluster: namespaces and nodes, so that planning a pod needs no request of its own, and
//! the pods it changed, to tell them when their work is done.

mod completion;
#[cfg(test)]
pub(crate) mod mock;
mod namespaces;
mod nodes;
mod watched;

pub use completion::{Completion, Own};
pub use namespaces::{Feed as NamespacesFeed, Namespaces};
pub use nodes::{Feed as NodesFeed, Nodes};
pub use watched::Watched;

use std::time::Duration;

use backon::ExponentialBuilder;
use kube::runtime::{
    utils::{Backoff, ResetTimerBackoff},
    watcher::{self, ExponentialBackoff},
};

/// Objects asked for at once: a page is held several times over until it is read. A pod, a node with its images or a namespace
/// with its field owners has ten kilobytes and more, and may be as large as etcd takes it: 1.5 MiB. With pages of a hundred a
/// replica beside five thousand nodes and namespaces took up to 30 MB more, and was ready no sooner.
const PAGE: u32 = 16;
/// Between tries of a watch, the first pause and the longest, each drawn out by up to its own length: an API server that is back
/// is heard within five seconds. kube's own pauses grow to a minute.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2500));
/// Without a failure for as long, the next one is a first one.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// The pauses of one watch; they never end.
pub(crate) struct Pauses(ResetTimerBackoff<ExponentialBackoff>);

/// What a watch waits between tries while the API server is away, or refuses.
pub(crate) fn pauses() -> Pauses {
    let (first, longest) = PAUSES;
    let doubling = ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).with_jitter();
    Pauses(ResetTimerBackoff::new(doubling.without_max_times().into(), FORGOTTEN))
}

/// Trying again will not help; others may have to do without.
fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error;
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.is_forbidden())
        }
        Error::WatchError(status) => status.is_forbidden(),
        Error::NoResourceVersion => false,
    }
}

// === impl Pauses ===

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pauses {
    /// Only time says that all is well: kube announces a list before it asks for it, even one that is refused each time.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_five_seconds_until_a_minute_passes_without_one() {
        let mut pauses = pauses();
        for _ in 0..2 {
            for most in [1, 2, 4, 5, 5, 5, 5, 5] {
                let (pause, most) = (pauses.next().expect("no end"), Duration::from_secs(most));
                assert!((most / 2..=most).contains(&pause), "{pause:?} is not about {most:?}");
                advance(pause).await;
                pauses.reset();
            }
            advance(FORGOTTEN).await;
        }
    }
}
