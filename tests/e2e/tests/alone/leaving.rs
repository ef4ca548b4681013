//! Curfew goes, from a namespace or from the cluster, while pods that count on its watch are at work.

use std::cell::Cell;

use anyhow::{Result, ensure};
use curfew_chart::helm;
use curfew_e2e::{
    Setup, Shape, Space, Strategy, WORK,
    installed::{MINUTES, all_is_well, settled},
    is_running, vendor_job,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    chart::{install, kubectl},
    program::curfew,
};

fn setup(title: &str) -> Setup {
    Setup::new(title).curfew().under(Strategy::Reaper).mesh(Shape::Linkerd)
}

/// A Job whose pod is at work, its reaper beside it; the pod's name.
async fn at_work(space: &Space) -> Result<String> {
    space.apply(vendor_job("work", WORK)).await?;
    let runs = |pod: &_| {
        ["main", Shape::Linkerd.proxy(), "curfew-reaper"].into_iter().all(|name| is_running(pod, name))
    };
    let pod = space.pod_until("work", "is at work beside its reaper", runs).await?.name_any();
    space.applied("work", "reaper").await?;
    Ok(pod)
}

/// Takes the namespace's label away.
pub(crate) async fn opted_out(space: &Space) -> Result<()> {
    let change = Patch::Merge(json!({"metadata": {"labels": {"curfew.dev/inject": null}}}));
    let namespaces = Api::<Namespace>::all(space.client());
    namespaces.patch(space.name(), &PatchParams::default(), &change).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_opts_out_has_its_pods_at_work_end_and_new_ones_left_alone() -> Result<()> {
    setup("opts out")
        .run(async |space| {
            at_work(space).await?;
            opted_out(space).await?;
            // API servers read a namespace's labels a moment after they are written.
            let tries = Cell::new(0);
            space
                .until("new pods are left alone", MINUTES, async || {
                    tries.set(tries.get() + 1);
                    let name = format!("later-{}", tries.get());
                    space.apply(vendor_job(&name, "exit 0")).await?;
                    let made = space.pod_until(&name, "is made", |_| true).await?;
                    Ok(match made.labels().get("curfew.dev/applied") {
                        None => Ok(()),
                        Some(strategy) => Err(strategy.clone()),
                    })
                })
                .await?;
            space.ends_when_told("work").await
        })
        .await
}

/// What `curfew check --uninstall` exits with, and finds.
fn checked() -> Result<(Option<i32>, String)> {
    let answer = curfew(&["check", "--uninstall", "--output", "json"], None)?;
    Ok((answer.code, answer.json()?["findings"].to_string()))
}

#[tokio::test]
async fn uninstalled_as_the_manual_says_no_pod_that_counts_on_the_watch_is_left_behind() -> Result<()> {
    setup("uninstalled")
        .run(async |space| {
            let pod = at_work(space).await?;
            let outcome = async {
                install(&["--set", "webhook.enabled=false"])?;
                settled(space, 2).await?;
                let none = kubectl(&[
                    "get",
                    "mutatingwebhookconfiguration",
                    "00-curfew",
                    "--ignore-not-found",
                    "-o",
                    "name",
                ])?;
                ensure!(none.is_empty(), "{none} is still there");
                let (code, told) = checked()?;
                let place = format!("{}/{pod} is ended by its reaper", space.name());
                ensure!(code == Some(1) && told.contains(&place), "{code:?}: {told}");
                space.ends_when_told("work").await?;
                space
                    .until("nothing keeps Curfew", MINUTES, async || {
                        let (code, told) = checked()?;
                        Ok(if code == Some(0) { Ok(()) } else { Err((code, told)) })
                    })
                    .await?;
                helm(["uninstall", "curfew", "--namespace", "curfew", "--wait"])?;
                // They answer to the end of their grace.
                space
                    .until("nothing of it is left", MINUTES, async || {
                        let ours = "app.kubernetes.io/name=curfew";
                        let left =
                            kubectl(&["get", "deployments,pods", "-n", "curfew", "-l", ours, "-o", "name"])?;
                        Ok(if left.is_empty() { Ok(()) } else { Err(left) })
                    })
                    .await
            }
            .await;
            let back = install(&[]);
            outcome.and(back)?;
            settled(space, 2).await?;
            all_is_well(space).await
        })
        .await
}
