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

/// Objects asked for at once: a page is held until it is read, and with its images or field owners a node or a
/// namespace has ten kilobytes and more, and so has a pod.
const PAGE: u32 = 100;
