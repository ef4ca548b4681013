//! What Curfew follows on the cluster, so that planning a pod needs no request of its own.

mod namespaces;

pub use namespaces::{Feed, Namespaces};
