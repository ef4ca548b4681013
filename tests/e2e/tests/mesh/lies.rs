//! Annotations and labels that lie, or were copied from another pod: they reach nobody else's pod, and do no harm to their
//! own but that it runs on as without Curfew.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    Setup, Shape, Space, Strategy, annotated, containers, ended, image, is_running, job, pod_of, status_of,
    vendor_job, with,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::sidecars::by_hand;

/// How long the watch gets to fall for it: it acts within a second.
const BAIT: Duration = Duration::from_secs(10);

/// A Job at work beside its proxy, under the reaper, and the pod of it.
async fn at_work(space: &Space, name: &str) -> Result<Pod> {
    space.apply(vendor_job(name, "trap 'exit 0' USR1; while [ ! -e /tmp/enough ]; do sleep 1; done")).await?;
    space
        .pod_until(name, "is at work", |pod| {
            ["main", "curfew-reaper", Shape::Linkerd.proxy()].iter().all(|name| is_running(pod, name))
        })
        .await
}

/// Sees that main, proxy and reaper all run on.
async fn runs_on(space: &Space, job: &str) -> Result<()> {
    space
        .holds("all of it runs on", BAIT, async || {
            let pod = space.pods_of(job).await?.pop().context("no pod")?;
            Ok(containers(&pod)
                .iter()
                .filter(|c| !c.name.ends_with("init"))
                .all(|c| c.state != "terminated" || c.name.starts_with("curfew-install")))
        })
        .await
}

fn done(uid: &str) -> Patch<Value> {
    Patch::Merge(json!({"metadata": {"annotations": {"curfew.dev/done": uid}}}))
}

#[tokio::test]
async fn another_pods_word_that_its_mains_are_done_means_nothing_to_this_one() -> Result<()> {
    Setup::new("copied done")
        .curfew()
        .under(Strategy::Reaper)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let pod = at_work(space, "work").await?;
            for word in ["11111111-2222-3333-4444-555555555555", "", "true"] {
                space.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &done(word)).await?;
                // Each for itself: the kubelet writes down what it reads last.
                runs_on(space, "work").await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_word_written_before_the_pod_was_made_is_taken_out() -> Result<()> {
    Setup::new("done beforehand")
        .curfew()
        .under(Strategy::Reaper)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let work = annotated(vendor_job("work", "sleep 5"), "curfew.dev/done", "any");
            space.apply(work).await?;
            let pod = space.pod_until("work", "is there", |_| true).await?;
            ensure!(
                pod.annotations().get("curfew.dev/done").is_none_or(|word| word != "any"),
                "it is still there"
            );
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn a_pod_that_claims_to_be_curfews_is_left_alone() -> Result<()> {
    // Nobody asked Curfew about this namespace: labels and status were copied from a pod of another shape.
    let status = json!({"version": "0.1.0", "strategy": "reaper",
        "containers": {"other": "main", "linkerd-proxy": "sidecar linkerd", "curfew-reaper": "curfew's reaper"}});
    Setup::new("claims")
        .run(async |space| {
            let work = with(job("work", "true"), |job| {
                job["spec"]["template"]["metadata"] = json!({
                    "labels": {"curfew.dev/applied": "reaper", "curfew.dev/reaper": "true"},
                    "annotations": {"curfew.dev/status": status.to_string()}});
                let helper = json!({"name": "helper", "image": curfew_e2e::image("test-busybox"),
                    "command": ["sleep", "1000"]});
                curfew_e2e::pod_of(job)["containers"]
                    .as_array_mut()
                    .into_iter()
                    .for_each(|all| all.push(helper.clone()));
            });
            space.apply(work).await?;
            space.hangs("work").await?;
            let pod = space.pods_of("work").await?.remove(0);
            ensure!(
                !pod.annotations().contains_key("curfew.dev/done"),
                "the watch fell for it: {:?}",
                pod.annotations()
            );
            // Said once, where its user looks.
            let events = space.events_of(&pod.name_any()).await?;
            let said = events.iter().filter(|event| event.contains("curfew.dev/status")).count();
            ensure!(said == 1, "{events:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_label_on_somebody_elses_pod_costs_it_nothing() -> Result<()> {
    Setup::new("labelled by hand")
        .run(async |space| {
            let work = with(job("work", "sleep 8"), |job| {
                job["spec"]["template"]["metadata"] =
                    json!({"labels": {"curfew.dev/applied": "await", "curfew.dev/reaper": "true"}});
            });
            space.apply(work).await?;
            space.job_completes("work").await?;
            let pods = space.api::<Pod>().list(&ListParams::default()).await?.items;
            ensure!(
                pods.iter().all(|pod| !pod.annotations().contains_key("curfew.dev/done")),
                "it was patched"
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_endpoint_outside_the_pod_is_refused_and_nobody_there_is_called() -> Result<()> {
    Setup::new("endpoint elsewhere")
        .curfew()
        .run(async |space| {
            // It would go at the first request to that path.
            let other = with(job("other", ""), |job| {
                pod_of(job)["containers"][0] =
                    json!({"name": "other", "image": image("test-standin"), "args": ["--shape=envoy", "--address=0.0.0.0"]});
                job["spec"]["template"]["metadata"]["labels"] = json!({"curfew.dev/inject": "disabled"});
            });
            space.apply(other).await?;
            let other = space.pod_until("other", "runs", |pod| is_running(pod, "other")).await?;
            let address = other.status.and_then(|status| status.pod_ip).context("it has no address")?;
            let row = format!("- {{name: far, containers: [helper], shutdown: {{url: 'http://{address}:9901/quitquitquit'}}}}");
            space.apply(annotated(by_hand(job("work", "true")), "curfew.dev/sidecars", &row)).await?;

            let pod = space.pod_until("work", "has done its work", |pod| ended(pod, "main").is_some()).await?;
            let status = status_of(&pod).context("it has no status")?.to_string();
            ensure!(status.contains("not loopback"), "{status}");
            space
                .holds("both run on", BAIT, async || {
                    let work = space.pods_of("work").await?.pop().context("no pod")?;
                    let other = space.pods_of("other").await?.pop().context("no other pod")?;
                    Ok(is_running(&work, "helper") && is_running(&other, "other"))
                })
                .await
        })
        .await
}
