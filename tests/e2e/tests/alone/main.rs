//! Tests that need the cluster to themselves: they take Curfew away, or the whole machine up. `make e2e` runs them last,
//! one after another.

mod certificates;
mod chart;
mod dapr;
mod leaving;
mod metrics;
mod namespaced;
mod negative;
mod outage;
mod parallel;
mod power;
#[path = "../mesh/program.rs"]
mod program;
mod stuck;
mod upgrade;
mod watch;
