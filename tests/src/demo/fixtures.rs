//! The pods, Services and ConfigMaps of the demo, built in: it runs from anywhere.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::mesh::Mesh;

/// One pod of the demo, as its mesh has injected it.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// What it is in the story.
    pub(super) role: Role,
    /// Its JSON, unpatched.
    pub(super) json: Value,
    /// When its proxy gets ready, after it was started.
    pub(super) proxy_ready_after: Duration,
}

/// What a pod is in the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// k6-operator's initializer.
    Initializer,
    /// k6-operator's runner, 1 or 2.
    Runner(u8),
    /// k6-operator's starter.
    Starter,
    /// A CronJob's kubectl.
    CronJob,
    /// A Job whose main fails.
    FailingJob,
}

// === impl Role ===

impl Role {
    /// What the main's exit code must be.
    pub(super) fn expected_exit(self) -> i32 {
        if self == Self::FailingJob { 1 } else { 0 }
    }
}

macro_rules! pods {
    ($mesh:literal, runners: $one:literal, $two:literal) => {
        [
            (Role::Initializer, include_str!(concat!("../../demo/pods/", $mesh, "/initializer.yaml")), 1500),
            (Role::Runner(1), include_str!(concat!("../../demo/pods/", $mesh, "/runner-1.yaml")), $one),
            (Role::Runner(2), include_str!(concat!("../../demo/pods/", $mesh, "/runner-2.yaml")), $two),
            (Role::Starter, include_str!(concat!("../../demo/pods/", $mesh, "/starter.yaml")), 1200),
        ]
    };
    ($mesh:literal, jobs) => {
        [
            (Role::CronJob, include_str!(concat!("../../demo/pods/", $mesh, "/cronjob.yaml")), 1300),
            (Role::FailingJob, include_str!(concat!("../../demo/pods/", $mesh, "/failing-job.yaml")), 900),
        ]
    };
}

/// The pods of one mesh, in the order they are created.
///
/// # Errors
/// When a file is no YAML, which its test would have noticed.
pub(super) fn cast(mesh: Mesh) -> anyhow::Result<Vec<Cast>> {
    let texts: Vec<(Role, &str, u64)> = match mesh {
        Mesh::Linkerd => {
            pods!("linkerd", runners: 700, 1000).into_iter().chain(pods!("linkerd", jobs)).collect()
        }
        Mesh::Istio => pods!("istio", runners: 700, 1000).into_iter().chain(pods!("istio", jobs)).collect(),
        // Late enough for two real k6 to call before, on a busy machine too; up before the pods are said to hang.
        Mesh::Envoy => pods!("envoy", runners: 2500, 2800).to_vec(),
    };
    let read = |(role, text, millis): (Role, &str, u64)| {
        let json = serde_saphyr::from_str(text).with_context(|| format!("{mesh} {role:?}"))?;
        Ok(Cast { role, json, proxy_ready_after: Duration::from_millis(millis) })
    };
    texts.into_iter().map(read).collect()
}

/// A Service, as far as it matters: where the runners are.
#[derive(Debug, Clone, Deserialize)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: BTreeMap<String, String>,
}

/// Cluster addresses, each with the Job it leads to.
///
/// # Errors
/// When the file is no YAML, which its test would have noticed.
pub(super) fn services() -> anyhow::Result<Vec<(String, String)>> {
    let services: Vec<Service> =
        serde_saphyr::from_multiple(include_str!("../../demo/services.yaml")).context("services.yaml")?;
    let job =
        |service: Service| Some((service.spec.cluster_ip, service.spec.selector.get("job-name")?.clone()));
    Ok(services.into_iter().filter_map(job).collect())
}

/// The files of a ConfigMap, with their texts; none of an unknown one, as Kubernetes' optional ones have
/// none.
pub(super) fn config_map(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "k6-sample-script" => &[("test.js", include_str!("../../demo/configmaps/k6-sample-script/test.js"))],
        "nightly-testrun" => {
            &[("testrun.yaml", include_str!("../../demo/configmaps/nightly-testrun/testrun.yaml"))]
        }
        "envoy-config" => &[("envoy.yaml", include_str!("../../demo/configmaps/envoy-config/envoy.yaml"))],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::pod::Pod;

    #[test]
    fn every_pod_reads_and_has_its_proxy_as_a_classic_sidecar() {
        for mesh in Mesh::ALL {
            for cast in cast(mesh).unwrap() {
                let pod = Pod::from_json(&cast.json).unwrap();
                let names: Vec<&str> = pod.spec.containers.iter().map(|one| one.name.as_str()).collect();
                assert_eq!(names.len(), 2, "{mesh} {:?}: {names:?}", cast.role);
                assert!(names.contains(&mesh.proxy()), "{mesh} {:?}: {names:?}", cast.role);
            }
        }
    }

    #[test]
    fn every_config_map_the_pods_mount_is_there_or_the_clusters_own() {
        for mesh in Mesh::ALL {
            for cast in cast(mesh).unwrap() {
                let pod = Pod::from_json(&cast.json).unwrap();
                for map in pod.spec.volumes.iter().filter_map(|volume| volume.config_map.as_ref()) {
                    assert!(!config_map(&map.name).is_empty(), "{}", map.name);
                }
            }
        }
    }

    #[test]
    fn each_runner_has_a_service() {
        let services = services().unwrap();
        assert_eq!(services.len(), 2);
        assert!(services.contains(&("10.96.0.12".to_owned(), "k6-sample-2".to_owned())));
    }
}
