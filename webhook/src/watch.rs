//! What Curfew follows on the cluster, so that planning a pod needs no request of its own.

#[cfg(test)]
mod mock;
mod namespaces;
mod nodes;

pub use namespaces::{Feed as NamespacesFeed, Namespaces};
pub use nodes::{Feed as NodesFeed, Nodes};
