//! One round over one TestRun: look, decide, act.

use anyhow::bail;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

use crate::{
    arguments,
    cluster::Cluster,
    decide::{self, Again, Next},
    initializer, probe,
    queue::Key,
    runner,
    spec::TestRun,
    stage::{self, Stage},
    starter,
};

/// Images of pods whose TestRun names none.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) runner: String,
    pub(crate) starter: String,
}

/// The operator.
pub(crate) struct Operator {
    pub(crate) cluster: Cluster,
    pub(crate) images: Images,
}

// === impl Operator ===

impl Operator {
    /// Brings a TestRun as far as it goes, and says when to come back. An error means: with back-off.
    pub(crate) async fn reconcile(&self, key: &Key) -> anyhow::Result<Again> {
        let Some(run) = self.cluster.run(key).await? else { return Ok(Again::Never) };
        if run.spec.parallelism < 1 {
            bail!("parallelism of TestRun cannot be less than 1; provided value is {}", run.spec.parallelism);
        }
        match run.status.stage {
            Stage::New => self.begin(&run).await,
            Stage::Initialization => self.inspect(&run).await,
            Stage::Initialized => self.create_runners(&run).await,
            Stage::Created => self.start(&run).await,
            Stage::Started => self.await_runners(&run).await,
            Stage::Stopped => {
                self.advance(
                    &run,
                    Stage::Finished,
                    run.status.conditions.clone(),
                    "all runners are finished",
                )
                .await?;
                Ok(Again::After(std::time::Duration::from_secs(1)))
            }
            Stage::Finished | Stage::Error => {
                if run.spec.cleanup == "post" {
                    tracing::info!("{run}: cleaning up: the TestRun and all it owns is deleted");
                    // Whatever comes of it: the original doesn't ask.
                    let _ = self.cluster.delete_run(&run).await;
                }
                Ok(Again::Never)
            }
        }
    }

    async fn begin(&self, run: &TestRun) -> anyhow::Result<Again> {
        let conditions = stage::initial_conditions(Timestamp::now());
        let archive = match validate(run) {
            Ok(archive) => archive,
            Err(error) => return self.fail(run, conditions, &format!("invalid TestRun: {error}")).await,
        };
        if run.spec.initializer.as_ref().is_some_and(|initializer| initializer.disabled) {
            self.advance(run, Stage::Initialized, conditions, "the initializer is disabled").await?;
            return Ok(Again::Never);
        }
        self.advance(run, Stage::Initialization, conditions, "creating the initializer").await?;
        // Once only: a failure here leaves a stage that waits for a pod nobody will create.
        let job = initializer::job(run, &archive, &self.images.runner)?;
        self.cluster.create(&run.namespace, job).await?;
        Ok(Again::After(decide::INITIALIZER_POLL))
    }

    async fn inspect(&self, run: &TestRun) -> anyhow::Result<Again> {
        let labels = format!("app=k6,k6_cr={0},job-name={0}-initializer", run.name);
        let pods = self.cluster.pods(&run.namespace, &labels).await?;
        let pod = pods.first();
        let mut next = decide::initializer_pod(pod.map(|(_, phase)| phase.as_str()));
        if let (Next::Go(_), Some((pod, _))) = (&next, pod) {
            let log = self.cluster.log(&run.namespace, pod).await.map_err(|error| format!("{error:#}"));
            next = decide::initializer_log(log.as_deref().map_err(String::as_str), run.spec.parallelism);
        }
        let mut conditions = run.status.conditions.clone();
        match next {
            Next::Wait(why, again) => Ok(wait(run, &why, "initializer pod", again)),
            Next::Fail(why) => self.fail(run, conditions, &why).await,
            Next::Go(seen) => {
                stage::set(&mut conditions, stage::CLOUD, "False", Timestamp::now());
                self.advance(run, Stage::Initialized, conditions, &seen).await?;
                Ok(Again::Never)
            }
        }
    }

    async fn create_runners(&self, run: &TestRun) -> anyhow::Result<Again> {
        let first = format!("{}-1", run.name);
        let there = self.cluster.job_exists(&run.namespace, &first).await?;
        let inspected = stage::known_for(&run.status.conditions, stage::CLOUD, Timestamp::now());
        if let Next::Wait(why, again) = decide::earlier_run(there.then_some(&first), inspected) {
            return Ok(wait(run, &why, "runner jobs", again));
        }
        for index in 1..=run.spec.parallelism {
            let job = runner::job(run, index, &self.images.runner)?;
            self.cluster.create(&run.namespace, job).await?;
            self.cluster.create(&run.namespace, runner::service(run, index)).await?;
        }
        let seen = format!("{} runner jobs and services created", run.spec.parallelism);
        self.advance(run, Stage::Created, run.status.conditions.clone(), &seen).await?;
        Ok(Again::BackOff)
    }

    async fn start(&self, run: &TestRun) -> anyhow::Result<Again> {
        let pods = self.cluster.pods(&run.namespace, &run.runner_selector()).await?;
        let running = pods.iter().filter(|(_, phase)| phase == "Running").count();
        if let Next::Wait(why, again) = decide::runners(running, run.spec.parallelism) {
            return Ok(wait(run, &why, "runner pods", again));
        }
        let mut addresses = Vec::new();
        for (name, address) in self.cluster.services(run).await? {
            tracing::info!("{run}: stage created: asking {name} at http://{address}:6565/v1/status");
            let answer = probe::status(&address).await.map_err(|error| format!("{error:#}"));
            match decide::service(&name, answer.as_ref().copied().map_err(String::as_str)) {
                Next::Wait(why, again) => return Ok(wait(run, &why, "services", again)),
                _ => addresses.push(address),
            }
        }
        let job = starter::job(run, &addresses, &self.images.starter);
        if !self.cluster.job_exists(&run.namespace, &format!("{}-starter", run.name)).await? {
            self.cluster.create(&run.namespace, job).await?;
        }
        let mut conditions = run.status.conditions.clone();
        stage::set(&mut conditions, stage::RUNNING, "True", Timestamp::now());
        self.advance(run, Stage::Started, conditions, "the starter is created, whatever becomes of it")
            .await?;
        Ok(Again::BackOff)
    }

    async fn await_runners(&self, run: &TestRun) -> anyhow::Result<Again> {
        let jobs = self.cluster.runner_jobs(run).await?;
        match decide::jobs(&jobs, run.spec.parallelism) {
            Next::Go(seen) => {
                let mut conditions = run.status.conditions.clone();
                stage::set(&mut conditions, stage::RUNNING, "False", Timestamp::now());
                self.advance(run, Stage::Stopped, conditions, &seen).await?;
                Ok(Again::Never)
            }
            Next::Wait(why, again) => Ok(wait(run, &why, "runner jobs", again)),
            Next::Fail(why) => bail!("{why}"),
        }
    }

    async fn fail(&self, run: &TestRun, conditions: Vec<Condition>, why: &str) -> anyhow::Result<Again> {
        self.advance(run, Stage::Error, conditions, why).await?;
        Ok(Again::Never)
    }

    async fn advance(
        &self,
        run: &TestRun,
        stage: Stage,
        conditions: Vec<Condition>,
        seen: &str,
    ) -> anyhow::Result<()> {
        self.cluster.set_status(run, stage, &conditions).await?;
        tracing::info!("{run}: stage {} -> {stage}: {seen}", run.status.stage);
        Ok(())
    }
}

/// What makes a TestRun invalid; otherwise the initializer's arguments.
fn validate(run: &TestRun) -> anyhow::Result<arguments::Archive> {
    let spec = &run.spec;
    if !spec.args.is_empty() && !spec.arguments.is_empty() {
        bail!("set either .spec.args or .spec.arguments, not both");
    }
    let archive = arguments::for_archive(&arguments::argv(spec))?;
    if archive.cloud || !spec.test_run_id.is_empty() || !spec.token.is_empty() {
        bail!(
            "this double of k6-operator knows no cloud; leave out `--out cloud`, .spec.token and .spec.testRunId"
        );
    }
    Ok(archive)
}

/// Says what is waited for and, after 5 minutes, that it takes too long, which is all the original ever does about it.
fn wait(run: &TestRun, why: &str, what: &str, again: Again) -> Again {
    tracing::info!("{run}: stage {}: waiting: {why}", run.status.stage);
    let since = stage::age_of(&run.status.conditions, stage::RUNNING, Timestamp::now());
    if run.status.stage != Stage::Started && since.is_some_and(|since| since > decide::TOO_LONG) {
        tracing::warn!("{run}: creation of {what} takes too long: your configuration might be off");
    }
    again
}
