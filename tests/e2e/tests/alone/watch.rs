//! Work that ends while nobody watches, or while the watch is killed: its pods end as soon as somebody watches again.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use curfew_e2e::{
    Setup, Space, Strategy, beside_helper, ended, image,
    installed::{MINUTES, pods, replicas, settled, while_away},
    machine::{restart_api_server, restart_api_server_unseen_by},
    vendor_job,
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, LogParams},
};
use serde_json::json;

use crate::metrics::counted;

/// As many Jobs as a node takes beside everything else that runs on it.
const MANY: usize = 50;
/// Enough where their number is not the point.
const SOME: usize = 16;
/// How long a busy machine may take to start their 200 containers, or to end them.
const ALL_OF_THEM: Duration = Duration::from_secs(600);

/// Jobs whose mains all end when the gate opens, the last one `spread` seconds after the first.
async fn at_work(space: &Space, jobs: usize, spread: usize) -> Result<()> {
    space
        .apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gate"},
            "spec": {"selector": {"gate": "open"}, "ports": [{"port": 80, "targetPort": 9901}]}}))
        .await?;
    let service = space.api::<Service>().get("gate").await?.spec.and_then(|spec| spec.cluster_ip);
    let gate = service.context("the gate has no address")?;
    for number in 0..jobs {
        let work = vendor_job(
            &format!("work-{number}"),
            &format!(
                "until nc -w 5 {gate} 80 </dev/null; do sleep 1; done; sleep {}",
                number * spread / jobs
            ),
        );
        space.apply(beside_helper(work)).await?;
    }
    space
        .until("all of them are at work", ALL_OF_THEM, async || {
            let pods = space.pods("job-name").await?;
            let whole = pods.iter().filter(|pod| whole(pod)).count();
            Ok(if whole == jobs { Ok(()) } else { Err(whole) })
        })
        .await
}

/// Whether every regular container of the pod runs.
fn whole(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut running =
        statuses.map(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    running.clone().count() == 3 && running.all(|is| is)
}

/// Lets all mains end.
async fn open_the_gate(space: &Space) -> Result<()> {
    space
        .apply(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gate", "labels": {"gate": "open"}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "gate", "image": image("test-standin"),
                "args": ["--shape=envoy", "--address=0.0.0.0"]}]}}))
        .await
}

async fn all_mains_ended(space: &Space, jobs: usize) -> Result<()> {
    space
        .until("every main is done", ALL_OF_THEM, async || {
            let done =
                space.pods("job-name").await?.iter().filter(|pod| ended(pod, "main").is_some()).count();
            Ok(if done == jobs { Ok(()) } else { Err(done) })
        })
        .await
}

/// How many Jobs are Complete.
async fn complete(space: &Space) -> Result<usize> {
    let jobs = space.api::<Job>().list(&ListParams::default()).await?.items;
    Ok(jobs
        .iter()
        .filter(|job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1)))
        .count())
}

/// Sees that all are Complete in the end, each with the one pod it had.
async fn all_end(space: &Space, jobs: usize) -> Result<()> {
    space.all_complete(jobs).await?;
    let pods = space.pods("job-name").await?;
    ensure!(pods.len() == jobs, "{} pods for {jobs} Jobs", pods.len());
    for pod in pods {
        let reaper = ended(&pod, "curfew-reaper").context("a pod without the reaper's end")?;
        ensure!(reaper.exit == Some(0) && reaper.restarts == 0, "{reaper:?}");
    }
    Ok(())
}

fn setup(title: &str) -> Setup {
    Setup::new(title).curfew().under(Strategy::Reaper)
}

/// How long the watch is away once all mains are done.
const AWAY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn fifty_jobs_that_end_while_nobody_watches_end_when_somebody_does_again() -> Result<()> {
    setup("watch down")
        .run(async |space| {
            at_work(space, MANY, 0).await?;
            while_away(space, async {
                open_the_gate(space).await?;
                all_mains_ended(space, MANY).await?;
                space.holds("no Job ends", AWAY, async || Ok(complete(space).await? == 0)).await
            })
            .await?;
            all_end(space, MANY).await
        })
        .await
}

/// How often it is tried again where the moment that a test is about did not come.
const TRIES: usize = 5;

/// Runs `test` until the moment it is about came; it tells what came instead.
async fn until_it_came(title: &str, test: impl AsyncFn(&Space) -> Result<Result<(), String>>) -> Result<()> {
    let seen = RefCell::new(Ok(()));
    for _ in 0..TRIES {
        setup(title)
            .run(async |space| {
                *seen.borrow_mut() = test(space).await?;
                Ok(())
            })
            .await?;
        if seen.borrow().is_ok() {
            return Ok(());
        }
    }
    seen.into_inner().map_err(|instead| anyhow!("{TRIES} times: {instead}"))
}

#[tokio::test]
async fn a_watch_killed_between_two_patches_loses_none() -> Result<()> {
    until_it_came("watch killed", async |space| {
        until_the_first_are_told(space).await?;
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods(space)
            .delete_collection(&now, &ListParams::default().labels("app.kubernetes.io/name=curfew"))
            .await?;
        all_end(space, SOME).await?;
        settled(space, 2).await?;
        // Those that were killed told some; what is counted now is what they left to their successors.
        let after = patches(space).await?;
        let was_left = after.iter().any(|(name, count)| name.contains("patched") && *count > 0.0);
        Ok(was_left.then_some(()).ok_or_else(|| "every pod had been told before the watch was killed".into()))
    })
    .await
}

/// Has some Jobs at work, lets their mains end one after another, and waits for the first to be told.
async fn until_the_first_are_told(space: &Space) -> Result<()> {
    settled(space, 2).await?;
    at_work(space, SOME, 20).await?;
    open_the_gate(space).await?;
    space
        .until("the first pods are told", MINUTES, async || {
            let told = told(space).await?;
            Ok(if told > 0 { Ok(()) } else { Err(told) })
        })
        .await
}

/// How many pods have been told that their mains are done.
async fn told(space: &Space) -> Result<usize> {
    let pods = space.pods("job-name").await?;
    Ok(pods
        .iter()
        .filter(|pod| pod.annotations().get("curfew.dev/done") == pod.metadata.uid.as_ref())
        .count())
}

#[tokio::test]
async fn two_replicas_tell_every_pod_and_none_of_them_twice() -> Result<()> {
    setup("watch twice")
        .run(async |space| {
            settled(space, 2).await?;
            let before = patches(space).await?;
            at_work(space, SOME, 20).await?;
            open_the_gate(space).await?;
            all_end(space, SOME).await?;
            let after = patches(space).await?;
            let of = |outcome: &str| {
                let count = |page: &[(String, f64)]| -> Vec<f64> {
                    page.iter().filter(|(name, _)| name.contains(outcome)).map(|(_, count)| *count).collect()
                };
                count(&after).into_iter().zip(count(&before)).map(|(after, before)| after - before)
            };
            let patched: Vec<_> = of("patched").collect();
            let wrong: f64 = ["conflict", "refused", "failed"].into_iter().flat_map(of).sum();
            let jobs = f64::from(u32::try_from(SOME)?);
            // One that waits its turn acts after 2 s, whether the other was slow or gone; that may happen, and is harmless.
            // If none waited it would be twice as many.
            let all: f64 = patched.iter().sum();
            ensure!(all >= jobs && all < 1.75 * jobs, "{patched:?} patches for {SOME} pods");
            ensure!(wrong == 0.0, "{wrong} patches went wrong: {before:?}, {after:?}");
            ensure!(
                patched.len() == 2 && patched.iter().all(|share| *share > 0.0),
                "both share: {patched:?}"
            );
            Ok(())
        })
        .await
}

/// What each replica counts of its patches, by outcome.
async fn patches(space: &Space) -> Result<Vec<(String, f64)>> {
    counted(space, "curfew_done_patches_total{").await
}

#[tokio::test]
async fn an_api_server_that_comes_back_is_watched_again() -> Result<()> {
    // Only the cluster that is this machine's own: run.sh leaves it out on another.
    setup("watch api server")
        .run(async |space| {
            at_work(space, SOME, 0).await?;
            open_the_gate(space).await?;
            restart_api_server()?;
            all_end(space, SOME).await
        })
        .await
}

#[tokio::test]
async fn a_watch_whose_version_the_api_server_no_longer_knows_lists_all_anew() -> Result<()> {
    // Only the cluster that is this machine's own.
    until_it_came("watch expired", async |space| {
        until_the_first_are_told(space).await?;
        let started = Instant::now();
        // An API server keeps no history from before its start.
        restart_api_server_unseen_by("curfew")?;
        all_end(space, SOME).await?;
        // A replica that stood still for too long was started anew by its kubelet, and has nothing to say of that.
        says_too_old(space, started).await
    })
    .await
}

/// Whether a replica has complained since then that the API server does not know the version it asked to go on from, or else
/// what they said.
async fn says_too_old(space: &Space, since: Instant) -> Result<Result<(), String>> {
    let seconds = i64::try_from(since.elapsed().as_secs())? + 1;
    let since = LogParams { since_seconds: Some(seconds), ..LogParams::default() };
    let mut instead = "no replica was told that its version is too old:\n".to_owned();
    for replica in replicas(space).await? {
        let log = pods(space).logs(&replica, &since).await?;
        if log.lines().any(|line| line.contains("Cannot follow pods") && line.contains("too old")) {
            return Ok(Ok(()));
        }
        instead += &log;
    }
    Ok(Err(instead))
}
