//! What Curfew follows on the cluster, so that planning a pod needs no request of its own.

mod namespaces;
mod nodes;

pub use namespaces::{Feed, Namespaces};
pub use nodes::Nodes;
