//! What Curfew follows on the cluster: namespaces and nodes, so that planning a pod needs no request of its own, and
//! the pods it changed, to tell them when their work is done.

mod completion;
#[cfg(test)]
pub(crate) mod mock;
mod namespaces;
mod nodes;

pub use completion::{Completion, Own};
pub use namespaces::{Feed as NamespacesFeed, Namespaces};
pub use nodes::{Feed as NodesFeed, Nodes};

use kube::runtime::watcher;

/// Objects asked for at once: a page is held until it is read, and with its images or field owners a node or a
/// namespace has ten kilobytes and more.
const PAGE: u32 = 100;
/// The same of pods, which may be as large as etcd takes them: with 1.5 MiB each, and the client's copy of the text, 150
/// MiB of a replica's 256. Smaller pages would cost more than they save: 20,000 pods are 400 of these.
const PAGE_OF_PODS: u32 = 50;

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
