//! Pods admitted all along, and handshakes made all along.

use std::{cell::Cell, time::Duration};

use anyhow::{Result, anyhow, ensure};
use curfew_e2e::{BEHIND, Handshakes, Space, installed::admitted};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two pods.
const PACE: Duration = Duration::from_millis(50);
/// Between two handshakes with each replica.
const HANDSHAKES: Duration = Duration::from_millis(500);

/// Ticks that keep their distance: what a slow machine missed would come all at once.
pub(crate) fn steady(pace: Duration) -> Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Runs `body` while pods are admitted at a steady pace, and goes on until those who are behind have seen what came of it.
///
/// # Errors
/// Its own, or an admission or a handshake failed.
pub(crate) async fn under_admissions(space: &Space, body: impl Future<Output = Result<()>>) -> Result<()> {
    let (made, shaken) = (Cell::new(0_usize), Cell::new(0_usize));
    let admissions = async {
        let mut pace = steady(PACE);
        loop {
            pace.tick().await;
            if let Err(error) = admitted(space).await {
                return error.context(format!("an admission failed after {}", made.get()));
            }
            made.set(made.get() + 1);
        }
    };
    let handshakes = async {
        let mut pace = steady(HANDSHAKES);
        let mut handshakes = Handshakes::new(space);
        loop {
            pace.tick().await;
            match handshakes.with_all().await {
                Ok(round) if round.refused.is_empty() => shaken.set(shaken.get() + round.accepted),
                Ok(round) => return anyhow!("API servers do not trust what is shown: {:?}", round.refused),
                Err(error) => return error.context("no handshakes"),
            }
        }
    };
    let body = async {
        body.await?;
        let mut pace = interval(BEHIND);
        pace.tick().await;
        pace.tick().await;
        anyhow::Ok(())
    };
    tokio::select! {
        done = body => done?,
        error = admissions => return Err(error),
        error = handshakes => return Err(error),
    }
    ensure!(made.get() > 0 && shaken.get() > 0, "{} admissions, {} handshakes", made.get(), shaken.get());
    Ok(())
}
