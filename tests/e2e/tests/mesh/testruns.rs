//! k6 as k6-operator runs it: the whole of a TestRun, in every form its users give it.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Space, Strategy, containers, ended, job, testrun, with};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, Service},
};
use kube::ResourceExt;
use serde_json::{Value, json};

under_each_strategy!(
    a_testrun_finishes_under_linkerd,
    a_testrun_of_four_runners_finishes_under_istio,
    its_starter_waits_for_its_proxy,
    a_proxy_ready_after_25_seconds_costs_no_runner_its_life,
    a_script_of_several_files_finishes,
    a_script_on_a_volume_claim_finishes,
    a_script_in_the_image_finishes,
    arguments_as_one_string_reach_k6,
    args_as_a_list_reach_k6,
    ports_of_its_own_are_no_hindrance,
    settings_for_the_initializer_alone_finish,
    the_older_kind_k6_finishes,
    one_that_cleans_up_after_itself_is_gone_with_all_it_made,
    a_failed_threshold_keeps_its_exit_code,
    a_cron_job_that_applies_a_testrun_asks_the_api_server_at_once_and_ends,
);

/// Applies one of the samples, and the scripts they all read.
pub(crate) async fn apply(space: &Space, sample: &str) -> Result<()> {
    space.sample("scripts").await?;
    space.sample(sample).await
}

/// Runs a sample under this mesh to its end; every Job of it must be Complete.
async fn finishes(strategy: Strategy, shape: Shape, sample: &str) -> Result<()> {
    Setup::new(&format!("testrun {sample}"))
        .curfew()
        .under(strategy)
        .mesh(shape)
        .run(async |space| {
            apply(space, sample).await?;
            space.stage(sample, "finished").await?;
            every_job_is_complete(space, shape).await
        })
        .await
}

/// The three of a TestRun at least.
async fn every_job_is_complete(space: &Space, shape: Shape) -> Result<()> {
    space.all_complete(3).await?;
    space.meshed(shape).await
}

async fn a_testrun_finishes_under_linkerd(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Linkerd, "basic").await
}

async fn a_testrun_of_four_runners_finishes_under_istio(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Istio, "parallel-4").await
}

async fn its_starter_waits_for_its_proxy(strategy: Strategy) -> Result<()> {
    Setup::new("starter waits")
        .curfew()
        .under(strategy)
        .mesh(Shape::Linkerd)
        .without_hold()
        .option("ready-after", "5s")
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "finished").await?;
            // curl tries once where a connection is refused, and then the runner waits for ever.
            let starter = space.pods_of("basic-starter").await?.remove(0);
            let log = space.log(&starter.name_any(), "k6-curl").await?;
            ensure!(log.contains("\"http_code\":200"), "{log}");
            every_job_is_complete(space, Shape::Linkerd).await
        })
        .await
}

async fn a_proxy_ready_after_25_seconds_costs_no_runner_its_life(strategy: Strategy) -> Result<()> {
    Setup::new("slow runner")
        .curfew()
        .under(strategy)
        .mesh(Shape::Istio)
        .without_hold()
        .option("ready-after", "25s")
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "finished").await?;
            let runner = space.pods_of("basic-1").await?.remove(0);
            let runner = containers(&runner);
            ensure!(runner.iter().all(|c| c.restarts == 0 && c.exit == Some(0)), "{runner:?}");
            Ok(())
        })
        .await
}

async fn a_script_of_several_files_finishes(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Linkerd, "multi-file").await
}

async fn a_script_on_a_volume_claim_finishes(strategy: Strategy) -> Result<()> {
    Setup::new("testrun volume-claim")
        .curfew()
        .under(strategy)
        .mesh(Shape::Istio)
        .run(async |space| {
            space.sample("scripts").await?;
            // A volume belongs to no namespace, so each run needs one of its own; it goes with its claim.
            let unique = format!("-{}", space.name());
            let text = space.sample_text("volume-claim")?;
            let text = text.replace("k6-script-volume", &format!("k6-script-volume{unique}"));
            space.apply_yaml(&text.replace("test-k6-scripts", &format!("test-k6-scripts{unique}"))).await?;
            space.stage("volume-claim", "finished").await?;
            every_job_is_complete(space, Shape::Istio).await
        })
        .await
}

async fn a_script_in_the_image_finishes(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Linkerd, "local-file").await
}

async fn arguments_as_one_string_reach_k6(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Istio, "arguments").await
}

async fn args_as_a_list_reach_k6(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Linkerd, "args").await
}

async fn ports_of_its_own_are_no_hindrance(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Istio, "ports").await
}

async fn settings_for_the_initializer_alone_finish(strategy: Strategy) -> Result<()> {
    finishes(strategy, Shape::Linkerd, "initializer").await
}

async fn the_older_kind_k6_finishes(strategy: Strategy) -> Result<()> {
    Setup::new("kind k6")
        .curfew()
        .under(strategy)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            apply(space, "k6").await?;
            let ask = json!({"apiVersion": "k6.io/v1alpha1", "kind": "K6", "metadata": {"name": "older"}});
            space.stage_is(ask, "finished").await?;
            every_job_is_complete(space, Shape::Linkerd).await
        })
        .await
}

async fn one_that_cleans_up_after_itself_is_gone_with_all_it_made(strategy: Strategy) -> Result<()> {
    Setup::new("cleanup post")
        .curfew()
        .under(strategy)
        .mesh(Shape::Istio)
        .run(async |space| {
            apply(space, "cleanup").await?;
            // The operator takes one away that ended in an error, too.
            space.stage("cleanup", "started").await?;
            space.meshed(Shape::Istio).await?;
            space.is_gone(testrun("cleanup")).await?;
            space.until_none::<Job>("app=k6").await?;
            space.until_none::<Pod>("app=k6").await?;
            space.until_none::<Service>("app=k6").await
        })
        .await
}

async fn a_failed_threshold_keeps_its_exit_code(strategy: Strategy) -> Result<()> {
    Setup::new("threshold")
        .curfew()
        .under(strategy)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            apply(space, "threshold").await?;
            // The operator does not ask how its runners ended.
            space.stage("threshold", "finished").await?;
            let runner = space.pods_of("threshold-1").await?.remove(0);
            let k6 = ended(&runner, "k6");
            ensure!(k6.as_ref().is_some_and(|k6| k6.exit == Some(99)), "{:?}", containers(&runner));
            space.job_fails("threshold-1").await
        })
        .await
}

async fn a_cron_job_that_applies_a_testrun_asks_the_api_server_at_once_and_ends(
    strategy: Strategy,
) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("cron job")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .without_hold()
            .option("ready-after", "3s")
            .run(async |space| {
                apply(space, "cronjob").await?;
                // Twice: the second deletes what the first applied.
                for number in ["1", "2"] {
                    let name = format!("nightly-{number}");
                    space.apply(now(space, &name).await?).await?;
                    space.job_completes(&name).await?;
                    space.stage("nightly-run", "finished").await?;
                }
                every_job_is_complete(space, shape).await
            })
            .await?;
    }
    Ok(())
}

/// The Job the CronJob would make at its hour.
async fn now(space: &Space, name: &str) -> Result<Value> {
    let ask = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}});
    let nightly = space.get(ask).await?;
    Ok(with(job(name, ""), |job| job["spec"] = nightly.data["spec"]["jobTemplate"]["spec"].clone()))
}
