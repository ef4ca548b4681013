//! Work that goes on until it is told to end, so that no test races it.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::{Space, ended, is_running, space::PATIENCE};

/// Ends when it is told to, by a signal.
pub const WORK: &str = "trap 'exit 0' USR1; while :; do sleep 1; done";

impl Space {
    /// Waits until the [`WORK`] of a Job is done by its newest pod, and tells it to end.
    ///
    /// # Errors
    /// It does not begin, or was over before.
    pub async fn tell_to_end(&self, job: &str) -> Result<()> {
        let begun = |pod: &Pod| is_running(pod, "main") || ended(pod, "main").is_some();
        let pod = self.pod_until(job, "is at work", begun).await?;
        ensure!(ended(&pod, "main").is_none(), "the work of {job} was over before it was told to end");
        let (name, pods) = (pod.name_any(), self.api::<Pod>());
        let words = ["exec", &name, "-c", "main", "--", "sh", "-c", "kill -USR1 1"];
        self.until(&format!("{name} is told to end"), PATIENCE, async || {
            let output = self.kubectl(&words)?;
            // Where the work ends at once, it takes with it what told it.
            let is_told = output.status.success() || ended(&pods.get(&name).await?, "main").is_some();
            Ok(if is_told { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) })
        })
        .await
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
