//! Work that goes on until it is told to end, so that no test races it.

use anyhow::{Result, ensure};

use crate::{Space, ended, is_running};

/// Ends when it is told to, by a signal.
pub const WORK: &str = "trap 'exit 0' USR1; while :; do sleep 1; done";

impl Space {
    /// Waits until the [`WORK`] of a Job is done by its newest pod, and tells it to end.
    ///
    /// # Errors
    /// It does not begin, or was over before.
    pub async fn tell_to_end(&self, job: &str) -> Result<()> {
        let begun = |pod: &_| is_running(pod, "main") || ended(pod, "main").is_some();
        let pod = self.pod_until(job, "is at work", begun).await?;
        ensure!(ended(&pod, "main").is_none(), "the work of {job} was over before it was told to end");
        let name = pod.metadata.name.unwrap_or_default();
        let output = self.kubectl(&["exec", &name, "-c", "main", "--", "sh", "-c", "kill -USR1 1"])?;
        ensure!(
            output.status.success(),
            "{name} cannot be told: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The same, and sees that the Job is Complete for it.
    ///
    /// # Errors
    /// It could not be told, or the Job does not complete.
    pub async fn ends_when_told(&self, job: &str) -> Result<()> {
        self.tell_to_end(job).await?;
        self.job_completes(job).await
    }
}
