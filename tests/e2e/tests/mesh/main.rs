//! Curfew, a mesh with a real Envoy, and an operator that does what k6-operator does, on a real Kubernetes.
//!
//! `make e2e` runs these; the namespace of each is its own, so they run side by side.
#![allow(clippy::panic_in_result_fn, reason = "assertions are what tests are for")]

/// A test of each of these under each strategy: `jobs::two_mains_end_the_pod_when_both_are_done::auto`.
macro_rules! under_each_strategy {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use curfew_e2e::Strategy;

            #[tokio::test]
            async fn auto() -> anyhow::Result<()> {
                super::$test(Strategy::Auto).await
            }

            #[tokio::test]
            async fn awaited() -> anyhow::Result<()> {
                super::$test(Strategy::Await).await
            }
        }
    )+};
}

mod accepted;
mod auto;
mod check;
mod control_port;
mod double;
mod explain;
mod hooks;
mod jobs;
mod lies;
mod limits;
mod native;
mod net;
mod policy;
mod problem;
mod program;
mod proxies;
mod real;
mod reaper;
mod rescue;
mod restarts;
mod rights;
mod sidecars;
mod testruns;
mod untouched;
