//! What becomes of the objects in a namespace: Jobs that end, TestRuns that move on, pods as they should be.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{batch::v1::Job, core::v1::Pod},
};
use kube::{
    Resource, ResourceExt,
    api::{DeleteParams, ListParams, PropagationPolicy},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Space,
    wait::{PATIENCE, PATIENCE_FOR_A_STAGE},
};
use crate::{Shape, Strategy};

/// How long a stage that nothing leads out of is looked at.
const STUCK: Duration = Duration::from_secs(20);

impl Space {
    /// How long the pod of a Job takes to go, from its deletion with its own grace. It has to have started its main, or
    /// the gate before it.
    ///
    /// # Errors
    /// It does not start, or does not go.
    pub async fn time_to_go(&self, job: &str) -> Result<Duration> {
        let waits =
            |c: &crate::Container| ["main", "curfew-gate"].contains(&&*c.name) && c.state == "running";
        let runs = |pod: &Pod| crate::containers(pod).iter().any(waits);
        let pod = self.pod_until(job, "runs its main", runs).await?.name_any();
        // Its Job would make another one.
        let orphan =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
        self.delete::<Job>(job, &orphan).await?;
        let start = Instant::now();
        self.delete::<Pod>(&pod, &DeleteParams::default()).await?;
        self.until(&format!("pod {pod} is gone"), PATIENCE, async || {
            Ok(self.api::<Pod>().get_opt(&pod).await?.map_or(Ok(()), |pod| Err(crate::containers(&pod))))
        })
        .await?;
        Ok(start.elapsed())
    }

    /// Waits until the newest pod of a Job is as wanted.
    ///
    /// # Errors
    /// It did not become so.
    pub async fn pod_until(&self, job: &str, what: &str, wanted: impl Fn(&Pod) -> bool) -> Result<Pod> {
        self.until(&format!("the pod of {job} {what}"), PATIENCE, async || {
            let newest = self.pods_of(job).await?.pop();
            Ok(match newest {
                Some(pod) if wanted(&pod) => Ok(pod),
                other => Err(other.map(|pod| crate::containers(&pod))),
            })
        })
        .await
    }

    /// Waits until a Job is Complete.
    ///
    /// # Errors
    /// It failed, or did not end.
    pub async fn job_completes(&self, name: &str) -> Result<()> {
        match self.job_ends(name).await?.as_str() {
            "Complete" => Ok(()),
            other => Err(anyhow!("Job {name} ended as {other}")),
        }
    }

    /// Waits until every Job there is, these many at least, is Complete.
    ///
    /// # Errors
    /// One failed, or did not end, or there are fewer.
    pub async fn all_complete(&self, at_least: usize) -> Result<()> {
        let jobs = self.api::<Job>().list(&ListParams::default()).await?.items;
        ensure!(jobs.len() >= at_least, "only {} Jobs, not {at_least}", jobs.len());
        for job in jobs {
            self.job_completes(&job.name_any()).await?;
        }
        Ok(())
    }

    /// Waits until a Job's main has ended, and sees that its pod hangs all the same: its sidecar runs on.
    ///
    /// # Errors
    /// The main did not end, or the Job did.
    pub async fn hangs(&self, job: &str) -> Result<()> {
        self.pod_until(job, "has done its work", |pod| crate::ended(pod, "main").is_some()).await?;
        self.holds("the Job is not done", STUCK, async || {
            let status = self.api::<Job>().get(job).await?.status.unwrap_or_default();
            Ok(status.conditions.unwrap_or_default().is_empty() && status.active == Some(1))
        })
        .await
    }

    /// Waits until a Job is Failed.
    ///
    /// # Errors
    /// It completed, or did not end.
    pub async fn job_fails(&self, name: &str) -> Result<()> {
        match self.job_ends(name).await?.as_str() {
            "Failed" => Ok(()),
            other => Err(anyhow!("Job {name} ended as {other}, not as Failed")),
        }
    }

    /// Waits until a Job has ended, and tells how: `Complete` or `Failed`.
    ///
    /// # Errors
    /// It did not.
    pub async fn job_ends(&self, name: &str) -> Result<String> {
        self.until(&format!("Job {name} ends"), PATIENCE, async || {
            // One that somebody else makes may not be there yet.
            let status = self.api::<Job>().get_opt(name).await?.and_then(|job| job.status);
            let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
            let last = conditions
                .into_iter()
                .find(|is| is.status == "True" && ["Complete", "Failed"].contains(&&*is.type_));
            Ok(match last {
                Some(condition) => Ok(condition.type_),
                None => Err(self.pods_of(name).await?.iter().map(crate::containers).collect::<Vec<_>>()),
            })
        })
        .await
    }

    /// Waits until a TestRun reaches a stage.
    ///
    /// # Errors
    /// It did not.
    pub async fn stage(&self, testrun: &str, wanted: &str) -> Result<()> {
        self.stage_is(crate::testrun(testrun), wanted).await
    }

    /// Waits until a TestRun reaches a stage that nothing leads out of, and looks at it for a while.
    ///
    /// # Errors
    /// It did not, or did not stay there.
    pub async fn stage_stays(&self, testrun: &str, stage: &str) -> Result<()> {
        self.stage(testrun, stage).await?;
        let what = format!("{testrun} is {stage}");
        self.holds(&what, STUCK, async || Ok(self.stage_of(testrun).await? == stage)).await
    }

    /// The same with an object of any kind that has stages.
    ///
    /// # Errors
    /// It did not, or went to `error`.
    pub async fn stage_is(&self, object: Value, wanted: &str) -> Result<()> {
        let what = format!("{} {} is {wanted}", object["kind"], object["metadata"]["name"]);
        let stage = self
            .until(&what, PATIENCE_FOR_A_STAGE, async || {
                let found = self.get(object.clone()).await?;
                let stage = found.data["status"]["stage"].as_str().unwrap_or_default().to_owned();
                Ok(if stage == wanted || stage == "error" { Ok(stage) } else { Err(stage) })
            })
            .await?;
        ensure!(stage == wanted, "{what}: it is {stage}");
        Ok(())
    }

    /// The stage of a TestRun, empty before its first.
    ///
    /// # Errors
    /// There is none.
    pub async fn stage_of(&self, testrun: &str) -> Result<String> {
        let found = self.get(crate::testrun(testrun)).await?;
        Ok(found.data["status"]["stage"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until there is no object of this one's kind and name.
    ///
    /// # Errors
    /// It stays.
    pub async fn is_gone(&self, object: Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = self.api_of(&object).await?;
        self.until(&format!("{} {name} is gone", object["kind"]), 2 * PATIENCE, async || {
            Ok(api.get_opt(name).await?.map_or(Ok(()), |found| Err(found.data["status"].clone())))
        })
        .await
    }

    /// Waits until there is no object of this kind with these labels.
    ///
    /// # Errors
    /// One stays.
    pub async fn until_none<K>(&self, labels: &str) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let kind = K::plural(&K::DynamicType::default()).into_owned();
        self.until(&format!("no {kind} are left"), PATIENCE, async || {
            let left = self.api::<K>().list(&ListParams::default().labels(labels)).await?.items;
            let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
            Ok(if names.is_empty() { Ok(()) } else { Err(names) })
        })
        .await
    }

    /// Waits until the API server has refused to make a Job's pod, for what it says with all of these words: it may have
    /// been refused for another reason before, as that a webhook did not answer in time. None may have slipped through.
    ///
    /// # Errors
    /// It was not refused for this, or there is a pod.
    pub async fn refused(&self, job: &str, words: &[&str]) -> Result<()> {
        let is_it = |event: &String| {
            event.starts_with("FailedCreate: ") && words.iter().all(|word| event.contains(word))
        };
        self.until(&format!("the pod of {job} is refused for {words:?}"), PATIENCE, async || {
            let events = self.events_of(job).await?;
            Ok(if events.iter().any(is_it) { Ok(()) } else { Err(events) })
        })
        .await?;
        ensure!(self.pods_of(job).await?.is_empty(), "a pod of {job} slipped through");
        Ok(())
    }

    /// Sees that every pod of a Job has the mesh's proxy, and was made to end as its strategy says: a test that a mesh
    /// or Curfew forgot proves nothing.
    ///
    /// # Errors
    /// One has not, or there is none.
    pub async fn meshed(&self, shape: Shape) -> Result<()> {
        match self.strategy {
            Strategy::Auto => self.ended_by(shape, &["native", "switch"]).await,
            Strategy::Await => self.ended_by(shape, &["await"]).await,
            Strategy::Reaper => self.ended_by(shape, &["reaper"]).await,
        }
    }

    /// Sees that every pod of a Job says that this was done to it.
    ///
    /// # Errors
    /// One says otherwise, or there is none.
    pub async fn applied(&self, job: &str, strategy: &str) -> Result<()> {
        let pods = self.pods_of(job).await?;
        ensure!(!pods.is_empty(), "{job} has no pod");
        for pod in pods {
            let applied = pod.labels().get("curfew.dev/applied").map(String::as_str).unwrap_or_default();
            let status = crate::status_of(&pod).unwrap_or_default();
            ensure!(
                applied == strategy,
                "{}: {applied} was applied, not {strategy}: {status}",
                pod.name_any()
            );
        }
        Ok(())
    }

    /// The same with the strategies that Curfew may have come to.
    ///
    /// # Errors
    /// It came to another one for some pod, or there is none.
    pub async fn ended_by(&self, shape: Shape, strategies: &[&str]) -> Result<()> {
        let (proxy, pods) = (shape.proxy(), self.pods("job-name").await?);
        ensure!(!pods.is_empty(), "no Job has a pod");
        for pod in pods {
            let name = pod.name_any();
            let applied = pod.labels().get("curfew.dev/applied").map(String::as_str).unwrap_or_default();
            ensure!(
                strategies.contains(&applied),
                "{name}: {applied:?} was applied, not one of {strategies:?}"
            );
            let spec = pod.spec.as_ref().context("a pod without a spec")?;
            let classic = spec.containers.iter().any(|container| container.name == proxy);
            let told_to_go = ["await", "reaper"].contains(&applied);
            let as_should_be = if told_to_go { classic } else { crate::is_native(&pod, proxy) };
            ensure!(
                as_should_be,
                "{name}: {applied} was applied, but {proxy} is not so: {:?}",
                crate::containers(&pod)
            );
        }
        Ok(())
    }
}
