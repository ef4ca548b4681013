//! How long things last.

use std::time::Duration;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// A CA is valid.
    pub ca_life: Duration,
    /// A leaf is valid.
    pub leaf_life: Duration,
    /// Every API server has read a bundle when this process has seen it for this long.
    pub hold: Duration,
    /// Whoever remembers a broken Secret's content has put it back by then.
    pub patience: Duration,
}

// === impl Times ===

impl Times {
    /// With lives of one's own choice. A CA that lives for minutes, as in trials, cannot be held for half of one.
    pub fn with_lives(ca_life: Duration, leaf_life: Duration) -> Self {
        let Self { hold, patience, .. } = Self::default();
        Self { ca_life, leaf_life, hold: hold.min(ca_life / 12), patience }
    }

    /// How often the clock has to be looked at: two thirds of a life may be over while nothing else happens, and after
    /// a month in which this process was frozen no timer of its own is right.
    pub fn look(&self) -> Duration {
        self.hold / 3
    }
}

impl Default for Times {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            ca_life: DAY * 365,
            leaf_life: DAY * 7,
            hold: Duration::from_secs(30),
            patience: Duration::from_secs(10),
        }
    }
}
