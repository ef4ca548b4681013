//! What a user sees where Curfew cannot do its part: docs/reliability.md has the table.

mod untrusted;

use anyhow::{Result, ensure};
use curfew_e2e::{
    Authority, Setup, Shape, Space, WORK, annotated, containers, ended, image,
    installed::{self, MINUTES, replicas, settled, while_away},
    is_running, job, vendor_job, with,
};
use k8s_openapi::api::{core::v1::Pod, rbac::v1::Role};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    certificates::stream::under_admissions, chart::installed_anew, leaving::opted_out, metrics::counted,
};

/// A pod that ends, with a sidecar, which any namespace takes.
fn pod(name: &str) -> Value {
    let container = |name: &str| {
        json!({"name": name, "image": image("test-busybox"), "command": ["true"], "securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1000,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}})
    };
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"curfew.dev/inject": "enabled"}},
        "spec": {"restartPolicy": "Never", "containers": [container("main"), container("linkerd-proxy")]}})
}

/// What would become of it in a namespace. Nothing is made.
pub(crate) async fn tried(space: &Space, namespace: &str, pod: Value) -> kube::Result<Pod> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pod = serde_json::from_value(pod).map_err(kube::Error::SerdeError)?;
    Api::<Pod>::namespaced(space.client(), namespace).create(&dry, &pod).await
}

#[tokio::test]
async fn in_excluded_namespaces_nobody_is_asked_whatever_a_pod_says() -> Result<()> {
    Setup::new("excluded")
        .run(async |space| {
            for (namespace, asked) in [(space.name(), true), ("kube-system", false), ("curfew", false)] {
                let pod = tried(space, namespace, pod("labelled")).await?;
                ensure!(
                    pod.labels().contains_key("curfew.dev/applied") == asked,
                    "{namespace}: {:?}",
                    pod.labels()
                );
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn while_curfew_is_down_nothing_waits_for_it_but_pods_that_end_in_labelled_namespaces() -> Result<()> {
    Setup::new("start up")
        .curfew()
        .run(async |space| {
            while_away(space, async {
                let server = with(pod("server"), |pod| pod["spec"]["restartPolicy"] = json!("Always"));
                for (namespace, pod) in
                    [("kube-system", pod("cni")), ("curfew", pod("curfew")), (space.name(), server)]
                {
                    tried(space, namespace, pod).await?;
                }
                let refused =
                    tried(space, space.name(), pod("work")).await.err().map(|error| error.to_string());
                ensure!(
                    refused.as_deref().is_some_and(|why| why.contains("namespaces.curfew.dev")),
                    "{refused:?}"
                );
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn while_curfew_is_down_a_bare_pod_is_lost_and_a_jobs_deadline_runs_on() -> Result<()> {
    Setup::new("lost")
        .curfew()
        .run(async |space| {
            while_away(space, async {
                let bare = space.apply(pod("bare")).await.err().map(|error| format!("{error:#}"));
                ensure!(
                    bare.as_deref().is_some_and(|why| why.contains("failed calling webhook")),
                    "who made it was told {bare:?}"
                );
                let hurried =
                    with(job("hurried", "true"), |job| job["spec"]["activeDeadlineSeconds"] = json!(5));
                space.apply(hurried).await?;
                space.refused("hurried", &["namespaces.curfew.dev"]).await?;
                space.job_fails("hurried").await?;
                let events = space.events_of("hurried").await?;
                ensure!(events.iter().any(|event| event.starts_with("DeadlineExceeded")), "{events:?}");
                Ok(())
            })
            .await?;
            let pods = space.pods("").await?;
            ensure!(
                pods.is_empty(),
                "somebody made {:?}",
                pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            );
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_namespace_that_loses_its_label_strands_no_pod_in_flight() -> Result<()> {
    Setup::new("unlabelled in flight")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let under = |job: Value, strategy: &str| annotated(job, "curfew.dev/strategy", strategy);
            space.apply(job("native", WORK)).await?;
            space.apply(under(job("await", WORK), "await")).await?;
            space.apply(under(vendor_job("reaper", WORK), "reaper")).await?;
            for strategy in ["native", "await", "reaper"] {
                space.pod_until(strategy, "is at work", |pod| is_running(pod, "main")).await?;
                space.applied(strategy, strategy).await?;
            }
            opted_out(space).await?;
            for strategy in ["native", "await", "reaper"] {
                space.ends_when_told(strategy).await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_image_that_does_not_come_is_named_by_the_pod_and_the_next_one_is_well() -> Result<()> {
    Setup::new("no image")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let awaited = || annotated(job("awaited", "true"), "curfew.dev/strategy", "await");
            let seen = async {
                installed_anew(space, &["--set", "reaper.image.tag=none"]).await?;
                space.apply(awaited()).await?;
                space.apply(annotated(vendor_job("reaped", "true"), "curfew.dev/strategy", "reaper")).await?;
                let waits = |pod: &Pod, name: &str| {
                    let all = containers(pod);
                    let found = all.iter().find(|container| container.name == name);
                    // The one at each try, the other in between.
                    let reasons = ["ErrImagePull", "ImagePullBackOff"];
                    found.is_some_and(|c| {
                        reasons.contains(&c.reason.as_str()) && c.message.contains("curfew-reaper:none")
                    })
                };
                let is_held_up = |pod: &Pod| waits(pod, "curfew-install");
                space.pod_until("awaited", "waits for the image", is_held_up).await?;
                let is_over = |pod: &Pod| ended(pod, "main").is_some_and(|main| main.exit == Some(0));
                let is_held = |pod: &Pod| is_over(pod) && waits(pod, "curfew-reaper");
                space.pod_until("reaped", "has done its work, and its reaper none", is_held).await?;
                anyhow::Ok(())
            }
            .await;
            installed_anew(space, &[]).await?;
            seen?;
            space.delete::<k8s_openapi::api::batch::v1::Job>("awaited", &DeleteParams::foreground()).await?;
            space.is_gone(awaited()).await?;
            space.apply(awaited()).await?;
            space.job_completes("awaited").await
        })
        .await
}

/// Runs `body` while Curfew may do no more than this to the Secret.
async fn with_rights(space: &Space, verbs: &[&str], body: impl Future<Output = Result<()>>) -> Result<()> {
    let roles = Api::<Role>::namespaced(space.client(), "curfew");
    let rules = roles.get("curfew-certificates").await?.rules;
    let change = async |rules: Value| {
        let change = Patch::Merge(json!({"rules": rules}));
        roles.patch("curfew-certificates", &PatchParams::default(), &change).await
    };
    change(json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["curfew-ca"], "verbs": verbs}])).await?;
    let result = body.await;
    change(json!(rules)).await?;
    result
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_is_counted_and_costs_no_admission() -> Result<()> {
    Setup::new("Secret not writable")
        .curfew()
        .run(async |space| {
            under_admissions(space, async {
                let authority = Authority::at_rest(space).await?;
                let old = authority.field("ca.crt").await?;
                with_rights(space, &["get", "list", "watch"], async {
                    authority.ask_for_another().await?;
                    space
                        .until("each replica counts that it was refused", MINUTES, async || {
                            let moves = counted(space, "curfew_certificate_moves_total{").await?;
                            let refused = |(name, count): &&(String, f64)| {
                                name.contains("action=\"stage\"")
                                    && name.contains("outcome=\"refused\"")
                                    && *count > 0.0
                            };
                            Ok(if moves.iter().filter(refused).count() == 2 { Ok(()) } else { Err(moves) })
                        })
                        .await?;
                    ensure!(
                        authority.asks().await? && authority.field("ca.crt").await? == old,
                        "it was written"
                    );
                    Ok(())
                })
                .await?;
                authority.replaced(&old).await.map(drop)
            })
            .await?;
            Authority::at_rest(space).await.map(drop)
        })
        .await
}

#[tokio::test]
async fn a_replica_that_may_not_read_the_secret_is_not_ready_and_the_others_go_on() -> Result<()> {
    Setup::new("rights missing")
        .curfew()
        .run(async |space| {
            settled(space, 2).await?;
            under_admissions(space, async {
                let before = replicas(space).await?;
                let result = with_rights(space, &["update"], async {
                    let victim = before.first().cloned().unwrap_or_default();
                    installed::pods(space).delete(&victim, &DeleteParams::default()).await?;
                    installed::gone(space, &[victim].into()).await?;
                    space
                        .until("the new replica's log names the right", MINUTES, async || {
                            let now = replicas(space).await?;
                            let Some(new) = now.difference(&before).next() else {
                                return Ok(Err(String::new()));
                            };
                            let log = installed::pods(space)
                                .logs(new, &Default::default())
                                .await
                                .unwrap_or_default();
                            let says =
                                log.contains("curfew-ca") && log.contains("needs `list` and `watch` on it");
                            Ok(if says { Ok(()) } else { Err(log) })
                        })
                        .await?;
                    let pods = installed::pods(space).list(&ListParams::default()).await?.items;
                    let ready = pods.iter().filter(|pod| installed::is_ready(pod)).count();
                    ensure!(ready == 1, "{ready} replicas are ready");
                    Ok(())
                })
                .await;
                settled(space, 2).await?;
                result
            })
            .await
        })
        .await
}
