//! Curfew is upgraded from the chart before this one, as users do it, while Jobs are made all along.

use std::{cell::Cell, convert::Infallible, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use curfew_chart::{chart, helm};
use curfew_e2e::{
    Authority, Setup, Shape, Space, annotated, image_prefix,
    installed::{MINUTES, all_is_well, gone, replicas, settled},
    job,
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, batch::v1::Job};
use kube::{Api, ResourceExt, api::ListParams};

use crate::{
    certificates::stream::{steady, under_admissions},
    chart::{bundles, install, states},
    outage::none_refused,
};

/// Between two Jobs.
const PACE: Duration = Duration::from_secs(1);
/// Jobs that run at once, at most: those a small node takes.
const AT_ONCE: usize = 12;
/// So many Jobs, at least, are made before the upgrade, and after it.
const JOBS: usize = 10;
/// What Jobs end by, in turn. The first is what comes about where nothing is named.
const STRATEGIES: [&str; 3] = ["native", "await", "reaper"];
/// Which chart wrote an object.
const CHART: &str = "helm.sh/chart";

/// Runs Helm while others go on.
async fn helm_meanwhile(words: &[&str]) -> Result<()> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let run = move || helm(words.iter().map(String::as_str));
    tokio::task::spawn_blocking(run).await??;
    Ok(())
}

/// The package of the chart before this one.
fn previous() -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts");
    let files = fs::read_dir(&folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    let packages: Vec<_> =
        files.iter().filter(|file| file.extension().is_some_and(|end| end == "tgz")).collect();
    let [package] = packages[..] else { anyhow::bail!("not one package, but {packages:?}") };
    Ok(package.display().to_string())
}

/// Where the images are, as a value of either chart.
fn registry() -> String {
    format!("registry={}", image_prefix())
}

/// Puts the chart before this one in the place of what is installed.
async fn downgraded(space: &Space) -> Result<()> {
    let before = replicas(space).await?;
    helm_meanwhile(&["uninstall", "curfew", "--namespace", "curfew", "--wait"]).await?;
    // Its programs are those of today, so another value has to stand for the images that an upgrade replaces.
    let version = env!("CARGO_PKG_VERSION");
    let images = format!("image.tag={version},reaper.image.tag={version},log=debug");
    let words =
        ["install", "curfew", &previous()?, "--namespace", "curfew", "--set", &registry(), "--set", &images];
    helm_meanwhile(&words).await?;
    settled(space, 2).await?;
    gone(space, &before).await?;
    Authority::at_rest(space).await?;
    all_is_well(space).await
}

/// Makes Jobs for as long as it is let.
async fn jobs(space: &Space, made: &Cell<usize>) -> Result<Infallible> {
    let mut pace = steady(PACE);
    loop {
        pace.tick().await;
        let there = space.api::<Job>().list(&ListParams::default()).await?.items;
        let ended = |job: &&Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1));
        if there.len() - there.iter().filter(ended).count() >= AT_ONCE {
            continue;
        }
        let number = made.get();
        let strategy = STRATEGIES[number % STRATEGIES.len()];
        let work = job(&format!("{strategy}-{number}"), "sleep 5");
        let work = if strategy == "native" { work } else { annotated(work, "curfew.dev/strategy", strategy) };
        space.apply(work).await?;
        made.set(number + 1);
    }
}

/// Upgrades after some Jobs and before some others, as users type it.
async fn upgraded(space: &Space, made: &Cell<usize>) -> Result<()> {
    let some = async || {
        let enough = made.get() + JOBS;
        let look = async || Ok(if made.get() >= enough { Ok(()) } else { Err(made.get()) });
        space.until("Jobs are made", MINUTES, look).await
    };
    some().await?;
    let before = replicas(space).await?;
    let chart = chart().display().to_string();
    let typed = ["upgrade", "curfew", &chart, "--namespace", "curfew"];
    helm_meanwhile(&[&typed[..], &["--set", &registry()]].concat()).await?;
    settled(space, 2).await?;
    gone(space, &before).await?;
    // Once more, with the values of the last time: there is nothing to do.
    let after = replicas(space).await?;
    helm_meanwhile(&typed).await?;
    settled(space, 2).await?;
    let now = replicas(space).await?;
    ensure!(now == after, "what was upgraded already was started anew: {after:?}, and then {now:?}");
    some().await
}

/// Every Job there is ended by what it was to end by, none was refused a pod, and none needed two.
async fn all_ended(space: &Space, made: usize) -> Result<()> {
    space.all_complete(made).await?;
    let jobs = space.api::<Job>().list(&ListParams::default()).await?.items;
    for name in jobs.iter().map(ResourceExt::name_any) {
        let (strategy, _) = name.split_once('-').with_context(|| name.clone())?;
        space.applied(&name, strategy).await?;
    }
    let pods = space.pods("job-name").await?.len();
    ensure!(pods == jobs.len(), "{pods} pods for {} Jobs", jobs.len());
    none_refused(space).await
}

fn written_by(configuration: &MutatingWebhookConfiguration) -> Option<&String> {
    configuration.labels().get(CHART)
}

#[tokio::test]
async fn upgraded_from_the_chart_before_while_jobs_are_made_it_misses_none_and_the_bundle_stays() -> Result<()>
{
    Setup::new("upgraded")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let outcome = async {
                downgraded(space).await?;
                let configurations: Api<MutatingWebhookConfiguration> = Api::all(space.client());
                let before = configurations.get("00-curfew").await?;
                let made = Cell::new(0);
                under_admissions(space, async {
                    tokio::select! {
                        done = upgraded(space, &made) => done,
                        error = jobs(space, &made) => error.map(|_| ()),
                    }
                })
                .await?;
                let after = configurations.get("00-curfew").await?;
                ensure!(written_by(&before) != written_by(&after), "it is still of {:?}", written_by(&after));
                let version =
                    |state: &MutatingWebhookConfiguration| state.resource_version().context("a version");
                for (_, state) in
                    states(&configurations, "00-curfew", &version(&before)?, &version(&after)?).await?
                {
                    ensure!(bundles(&state) == bundles(&before), "another bundle for a while: {state:?}");
                }
                all_ended(space, made.get()).await
            }
            .await;
            let back = install(&[]);
            outcome.and(back)?;
            settled(space, 2).await
        })
        .await
}
