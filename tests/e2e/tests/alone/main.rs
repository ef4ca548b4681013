//! Tests that need the cluster to themselves: they take Curfew away, or the whole machine up. `make e2e` runs them last,
//! one after another.

mod certificates;
mod chart;
mod dapr;
mod metrics;
mod outage;
mod parallel;
mod stuck;
mod watch;
