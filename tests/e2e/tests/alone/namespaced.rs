//! Rights on named namespaces alone: Jobs in them end, and what is lost is what the chart's README says.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    Setup, Shape, Space, Strategy, annotated, containers, image, installed::MINUTES, job, status_of,
    vendor_job, with,
};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    chart::{installed_anew, kubectl},
    metrics::counted,
    negative::tried,
    program::curfew,
};

/// As whom the replicas ask.
const CURFEW: &str = "system:serviceaccount:curfew:curfew";

/// A pod whose sidecar has a startupProbe of the user's own, which not every kubelet can be trusted with.
fn probed() -> Value {
    let container = |name: &str| json!({"name": name, "image": image("test-busybox"), "command": ["true"]});
    let sidecar = with(container("linkerd-proxy"), |sidecar| {
        sidecar["env"] = json!([{"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "127.0.0.1:4191"}]);
        sidecar["startupProbe"] = json!({"tcpSocket": {"port": 4143}});
    });
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "probed", "annotations": {"curfew.dev/strategy": "auto"}},
        "spec": {"restartPolicy": "Never", "containers": [container("main"), sidecar]}})
}

/// What would be done to that pod, and why not what comes first.
async fn planned(space: &Space) -> Result<(String, Value)> {
    let pod = tried(space, space.name(), probed()).await?;
    let applied = pod.labels().get("curfew.dev/applied").cloned().unwrap_or_default();
    Ok((applied, status_of(&pod).context("a pod without a status")?["passedOver"].clone()))
}

/// The series of the watch.
async fn watches(space: &Space) -> Result<usize> {
    Ok(counted(space, "curfew_watch_synced").await?.len())
}

fn is_refused<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}

/// Curfew's service account may read this namespace, and nothing else of those that it reads elsewhere.
async fn it_may_no_more(space: &Space, other: &Space) -> Result<()> {
    let own = space.client_as(CURFEW).await?;
    let namespaces = Api::<Namespace>::all(own.clone());
    namespaces.get(space.name()).await.context("it may not read its namespace")?;
    let one = ListParams::default().limit(1);
    for (what, refused) in [
        ("another namespace", is_refused(namespaces.get(other.name()).await)),
        ("all namespaces", is_refused(namespaces.list(&one).await)),
        ("nodes", is_refused(Api::<Node>::all(own.clone()).list(&one).await)),
        ("pods", is_refused(Api::<Pod>::namespaced(own, space.name()).list(&one).await)),
    ] {
        ensure!(refused, "it may read {what}");
    }
    let roles = kubectl(&["get", "clusterroles", "-l", "app.kubernetes.io/name=curfew", "-o", "name"])?;
    ensure!(roles.trim() == "clusterrole.rbac.authorization.k8s.io/curfew-certificates", "there are {roles}");
    Ok(())
}

/// Pods of namespaces that are not named are made as if there were no Curfew.
async fn others_are_left_alone(other: &Space) -> Result<()> {
    // API servers read the configuration a moment after it is written.
    other
        .until("nobody is asked about another namespace", MINUTES, async || {
            let pod = tried(other, other.name(), probed()).await?;
            Ok(pod.labels().get("curfew.dev/applied").map_or(Ok(()), |applied| Err(applied.clone())))
        })
        .await
}

/// What needs no watch ends: as the namespace says, and as the pod says.
async fn jobs_end(space: &Space) -> Result<()> {
    space.apply(job("await", "sleep 1")).await?;
    space.apply(annotated(vendor_job("native", "sleep 1"), "curfew.dev/strategy", "auto")).await?;
    for strategy in ["await", "native"] {
        space.job_completes(strategy).await?;
        space.applied(strategy, strategy).await?;
    }
    // No net, which nobody would tell.
    let [awaited] = &space.pods_of("await").await?[..] else { anyhow::bail!("not one pod") };
    let there = containers(awaited);
    ensure!(there.iter().all(|container| container.name != "curfew-reaper"), "{there:?}");
    Ok(())
}

/// Without a watch there is no reaper: its pod is left, hangs, and alone says why.
async fn a_reaper_is_not_to_be_had(space: &Space) -> Result<()> {
    space.apply(annotated(vendor_job("reaper", "true"), "curfew.dev/strategy", "reaper")).await?;
    space.hangs("reaper").await?;
    space.applied("reaper", "leave").await?;
    let pod = space.pod_until("reaper", "is there", |_| true).await?;
    let status = status_of(&pod).context("a pod without a status")?;
    let why = status["warnings"][0].as_str().unwrap_or_default();
    ensure!(why.contains("`reaper` is not possible here: Curfew's watch"), "{status}");
    let events = space.events_of(&pod.name_any()).await?;
    ensure!(!events.iter().any(|event| event.starts_with("LeftAlone")), "{events:?}");
    Ok(())
}

/// `curfew check` tells what is lost, and fails for none of it.
fn check_agrees() -> Result<()> {
    let findings = curfew(&["check", "--output", "json"], None)?.json()?["findings"].take();
    let of_rights: Vec<_> =
        findings.as_array().context("no findings")?.iter().filter(|one| one["subject"] == "rights").collect();
    let [nodes] = of_rights[..] else { anyhow::bail!("not one finding: {of_rights:#?}") };
    let told = nodes["finding"].as_str().unwrap_or_default();
    ensure!(nodes["severity"] == "warn" && told.contains("may not list nodes, watch nodes"), "{nodes}");
    Ok(())
}

#[tokio::test]
async fn with_rights_on_one_namespace_its_jobs_end_and_what_is_lost_is_what_the_manual_says() -> Result<()> {
    Setup::new("namespaced rights")
        .curfew()
        .under(Strategy::Await)
        .mesh(Shape::Linkerd)
        .run(async |space| {
            // Where all nodes are seen to be new enough.
            let (applied, _) = planned(space).await?;
            ensure!(applied == "native" && watches(space).await? == 2, "{applied}");
            let outcome = async {
                let named = format!("rights.namespaces={{{}}}", space.name());
                installed_anew(space, &["--set", "rights.scope=namespaces", "--set", &named]).await?;
                check_agrees()?;
                Setup::new("not named")
                    .curfew()
                    .run(async |other| {
                        it_may_no_more(space, other).await?;
                        others_are_left_alone(other).await
                    })
                    .await?;
                jobs_end(space).await?;
                let (applied, passed_over) = planned(space).await?;
                let why = passed_over["native"].as_str().unwrap_or_default();
                ensure!(
                    applied == "await" && why.contains("nodes may not be listed, and an API server"),
                    "{applied}: {passed_over}"
                );
                a_reaper_is_not_to_be_had(space).await?;
                ensure!(watches(space).await? == 0, "somebody watches pods");
                Ok(())
            }
            .await;
            let back = installed_anew(space, &[]).await;
            outcome.and(back)
        })
        .await
}
