//! Waiting for what becomes true in the end, and seeing that something stays so.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Error, Result, bail, ensure};

use super::Space;

/// How long a condition may take that nothing in the test delays: slow machines run many tests at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// How long a TestRun may take for a stage, and what depends on its operator: one that was refused asks again after twice
/// the time, up to 164 s and then 328 s after its first try, and one that waits for an answer to one TestRun looks at no
/// other.
pub const PATIENCE_FOR_A_STAGE: Duration = Duration::from_secs(700);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

impl Space {
    /// Waits until `look` finds something, looking again and again, also where the API server did not answer.
    ///
    /// # Errors
    /// It did not within `patience`; the message says what was waited for and what was there last. Or a look went wrong
    /// for another reason.
    pub async fn until<T, Seen: Debug>(
        &self,
        what: &str,
        patience: Duration,
        look: impl AsyncFn() -> Result<std::result::Result<T, Seen>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            let seen = match look().await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(seen)) => format!("{seen:?}"),
                Err(error) if passes(&error) => format!("{error:#}"),
                Err(error) => return Err(error),
            };
            if start.elapsed() > patience {
                bail!("{what}: not within {} s; last seen: {seen}", patience.as_secs())
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sees that something stays true for this long.
    ///
    /// # Errors
    /// It did not.
    pub async fn holds(
        &self,
        what: &str,
        bound: Duration,
        look: impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < bound {
            ensure!(look().await?, "{what}: no longer so after {:.1} s", start.elapsed().as_secs_f64());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Whether this says nothing of what was asked for: no answer at all, or that the API server has none just now.
fn passes(error: &Error) -> bool {
    match error.chain().find_map(|cause| cause.downcast_ref::<kube::Error>()) {
        Some(kube::Error::Api(status)) => status.code == 429 || !(400..500).contains(&status.code),
        found => found.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use kube::core::{Status, response::StatusSummary};

    use super::*;

    fn answered(code: u16) -> Error {
        let status = Status { code, status: Some(StatusSummary::Failure), ..Status::default() };
        Err::<(), _>(kube::Error::Api(Box::new(status))).context("while asked").unwrap_err()
    }

    #[test]
    fn what_says_nothing_of_what_was_asked_for_is_told_from_an_answer() {
        assert!([429, 500, 503].into_iter().all(|code| passes(&answered(code))));
        assert!(passes(&kube::Error::TlsRequired.into()));
        assert!([400, 403, 404, 409, 422].into_iter().all(|code| !passes(&answered(code))));
        assert!(!passes(&anyhow!("the test's own")));
    }
}
