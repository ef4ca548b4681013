//! Pods that hang already: which they are, what holds them, and how they are let go with the rights of whoever asks.
//!
//! [`judge`] decides, purely, from a pod as the API server has it; it needs none of Curfew's labels. [`Cluster`] finds
//! the pods, [`release`] asks a sidecar's own endpoint first and swaps its image where that does not help: the kubelet
//! restarts a container whose image changed whatever its restart policy, and [Curfew's no-op](noop) exits with 0.

mod act;
mod call;
mod cluster;
mod judge;
pub mod noop;
mod report;
mod state;

pub use act::{Outcome, release};
pub(crate) use cluster::denied;
pub use cluster::{Cluster, Denied, Scope, now};
pub use judge::{Circumstances, Hanging, Holder, Kind, Verdict, judge};
pub use report::{found_as_json, line, table};
