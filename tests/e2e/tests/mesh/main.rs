//! Curfew, a mesh with a real Envoy, and an operator that does what k6-operator does, on a real Kubernetes.
//!
//! `make e2e` runs these; the namespace of each is its own, so they run side by side.
#![allow(clippy::panic_in_result_fn, reason = "assertions are what tests are for")]

mod control_port;
mod double;
mod jobs;
mod limits;
mod native;
mod policy;
mod problem;
mod proxies;
mod restarts;
mod sidecars;
mod testruns;
mod untouched;
