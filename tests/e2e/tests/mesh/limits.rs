//! Namespaces that are strict about what a pod may be: Curfew's additions are never the reason for a refusal.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, Strategy, job, pod_of, with};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::sidecars::by_hand;

under_each_strategy!(
    pod_security_restricted_takes_what_curfew_adds,
    a_resource_quota_takes_what_curfew_adds,
    a_limit_range_with_a_minimum_takes_what_curfew_adds,
    a_pod_keeps_its_class_of_service,
    what_curfew_adds_sees_no_token_whichever_comes_first,
);

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

async fn pod_security_restricted_takes_what_curfew_adds(strategy: Strategy) -> Result<()> {
    Setup::new("restricted")
        .curfew()
        .under(strategy)
        // Without its init container, which needs rights this level forbids.
        .mesh(Shape::Linkerd)
        .option("init", "false")
        .label("pod-security.kubernetes.io/enforce", "restricted")
        .run(async |space| {
            let restricted = with(job("work", "true"), |job| {
                let pod = pod_of(job);
                pod["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 1000,
                                                "seccompProfile": {"type": "RuntimeDefault"}});
                pod["containers"][0]["securityContext"] =
                    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
            });
            space.apply(restricted).await?;
            space.job_completes("work").await?;
            space.meshed(Shape::Linkerd).await
        })
        .await
}

async fn a_resource_quota_takes_what_curfew_adds(strategy: Strategy) -> Result<()> {
    Setup::new("quota")
        .curfew()
        .under(strategy)
        .run(async |space| {
            // Under it, every container must say what it takes of each of these, those of init containers included;
            // nothing here fills in what one leaves out.
            let resources = ["cpu", "memory", "ephemeral-storage"];
            let hard: serde_json::Map<String, Value> = resources
                .iter()
                .flat_map(|name| [format!("requests.{name}"), format!("limits.{name}")])
                .map(|name| (name.clone(), json!(if name.ends_with("cpu") { "1" } else { "1Gi" })))
                .collect();
            space
                .apply(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"},
                              "spec": {"hard": hard}}))
                .await?;
            let sized = with(by_hand(job("work", "true")), |job| {
                let own = json!({"cpu": "50m", "memory": "32Mi", "ephemeral-storage": "16Mi"});
                for container in pod_of(job)["containers"].as_array_mut().into_iter().flatten() {
                    container["resources"] = json!({"requests": own, "limits": own});
                }
            });
            space.apply(sized).await?;
            space.job_completes("work").await?;
            let pod = space.pods_of("work").await?.remove(0);
            let added = pod.spec.context("no spec")?.init_containers.unwrap_or_default();
            let added =
                added.into_iter().find(|c| c.name.starts_with("curfew-")).context("Curfew added nothing")?;
            let requests = added.resources.and_then(|resources| resources.requests).unwrap_or_default();
            ensure!(resources.iter().all(|name| requests.contains_key(*name)), "{requests:?}");
            Ok(())
        })
        .await
}

async fn a_limit_range_with_a_minimum_takes_what_curfew_adds(strategy: Strategy) -> Result<()> {
    Setup::new("limit range")
        .curfew()
        .under(strategy)
        .mesh(Shape::Istio)
        .run(async |space| {
            // Below what the mesh asks for its own, above what a container that asks for nothing would get.
            let least = json!({"cpu": "5m", "memory": "8Mi"});
            let default = json!({"cpu": "100m", "memory": "192Mi"});
            space
                .apply(json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "least"},
                    "spec": {"limits": [{"type": "Container", "min": least, "default": default,
                                         "defaultRequest": default}]}}))
                .await?;
            space.apply(job("work", "true")).await?;
            space.job_completes("work").await?;
            space.meshed(Shape::Istio).await
        })
        .await
}

async fn a_pod_keeps_its_class_of_service(strategy: Strategy) -> Result<()> {
    let small = json!({"cpu": "50m", "memory": "64Mi"});
    for (class, resources) in [
        ("Guaranteed", json!({"requests": small, "limits": small})),
        ("Burstable", json!({"requests": small})),
        ("BestEffort", json!({})),
    ] {
        Setup::new(&format!("class {class}"))
            .curfew()
            .under(strategy)
            .run(async |space| {
                // A sidecar written by hand, of the pod's own class; the mesh's proxy would bring one of its own.
                let sized = with(by_hand(job("work", "true")), |job| {
                    for container in pod_of(job)["containers"].as_array_mut().into_iter().flatten() {
                        container["resources"] = resources.clone();
                    }
                });
                space.apply(sized).await?;
                let pod = space.pod_until("work", "is there", |pod| pod.status.is_some()).await?;
                let found = pod.status.and_then(|status| status.qos_class);
                ensure!(found.as_deref() == Some(class), "{class} became {found:?}");
                space.job_completes("work").await
            })
            .await?;
    }
    Ok(())
}

async fn what_curfew_adds_sees_no_token_whichever_comes_first(strategy: Strategy) -> Result<()> {
    use curfew_e2e::Injector::{AfterNever, BeforeNever};
    for injector in [AfterNever, BeforeNever] {
        Setup::new("no token")
            .curfew()
            .under(strategy)
            .injected(Shape::Linkerd, injector)
            .run(async |space| {
                space.apply(job("work", "true")).await?;
                let pod: Pod = space.pod_until("work", "is there", |_| true).await?;
                let spec = pod.spec.context("no spec")?;
                let ours = |name: &str| name.starts_with("curfew-");
                let added: Vec<_> = spec.init_containers.iter().flatten().filter(|c| ours(&c.name)).collect();
                ensure!(!added.is_empty(), "Curfew added no container");
                for container in added {
                    let mounts = container.volume_mounts.iter().flatten();
                    let mounts = mounts.filter(|mount| mount.mount_path == TOKEN);
                    let volumes: Vec<_> = mounts.map(|mount| mount.name.as_str()).collect();
                    ensure!(volumes == ["curfew-no-token"], "{}: {volumes:?}", container.name);
                }
                let volume = spec.volumes.iter().flatten().find(|volume| volume.name == "curfew-no-token");
                ensure!(volume.is_some_and(|volume| volume.empty_dir.is_some()), "{volume:?}");
                space.job_completes("work").await
            })
            .await?;
    }
    Ok(())
}
