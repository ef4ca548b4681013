//! What a failed test leaves behind.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, LogParams},
    core::GroupVersionKind,
    discovery,
};
use serde::Serialize;

use crate::{Container, Space, containers};

/// Saves the namespace's pods, Jobs, TestRuns, events and every container's log; answers where, and what they come to:
/// of a run elsewhere often nothing but its output is left.
pub(crate) async fn save(space: &Space) -> String {
    let brief = brief(space).await.unwrap_or_else(|error| format!("{error:#}"));
    format!("{}\n{brief}", saved(space).await)
}

/// Every container's state, and the operator's last words about this namespace.
async fn brief(space: &Space) -> Result<String> {
    let mut lines = Vec::new();
    for pod in space.api::<Pod>().list(&Default::default()).await?.items {
        lines.extend(containers(&pod).iter().map(|container| format!("{}: {container:?}", pod.name_any())));
    }
    let operators = Api::<Pod>::namespaced(space.client(), "k6-operator-system");
    for pod in operators.list(&Default::default()).await?.items {
        let log = operators.logs(&pod.name_any(), &LogParams::default()).await?;
        let mut told: Vec<_> = log.lines().rev().filter(|line| line.contains(space.name())).take(5).collect();
        told.reverse();
        lines.extend(told.into_iter().map(ToOwned::to_owned));
    }
    Ok(lines.join("\n"))
}

async fn saved(space: &Space) -> String {
    let root = std::env::var_os("CURFEW_ARTEFACTS").map_or_else(|| "target/e2e".into(), PathBuf::from);
    let folder = root.join(space.name());
    match all(space, &folder).await {
        Ok(()) => folder.display().to_string(),
        Err(error) => format!("{} (not all: {error:#})", folder.display()),
    }
}

async fn all(space: &Space, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let pods = space.api::<Pod>().list(&Default::default()).await?.items;
    logs(&space.api(), &pods, folder).await?;
    for namespace in ["curfew", "k6-operator-system", "test-mesh", "dapr-system"] {
        let api = Api::<Pod>::namespaced(space.client(), namespace);
        logs(&api, &api.list(&Default::default()).await?.items, folder).await?;
    }
    write(folder, "pods", &pods)?;
    write(folder, "jobs", &space.api::<Job>().list(&Default::default()).await?.items)?;
    write(folder, "events", &space.api::<Event>().list(&Default::default()).await?.items)?;
    let kind = GroupVersionKind::gvk("k6.io", "v1alpha1", "TestRun");
    if let Ok((resource, _)) = discovery::pinned_kind(&space.client(), &kind).await {
        let api = Api::<DynamicObject>::namespaced_with(space.client(), space.name(), &resource);
        write(folder, "testruns", &api.list(&Default::default()).await?.items)?;
    }
    Ok(())
}

/// The log of every container, and of the one before it where it was started again.
async fn logs(api: &Api<Pod>, pods: &[Pod], folder: &Path) -> Result<()> {
    for pod in pods {
        let name = pod.name_any();
        for Container { name: container, restarts, .. } in containers(pod) {
            for previous in [false, true].into_iter().take(if restarts > 0 { 2 } else { 1 }) {
                let parameters =
                    LogParams { container: Some(container.clone()), previous, ..LogParams::default() };
                let log = match api.logs(&name, &parameters).await {
                    Ok(log) => log,
                    Err(error) => format!("no log: {error:#}\n"),
                };
                let end = if previous { "previous.log" } else { "log" };
                std::fs::write(folder.join(format!("{name}.{container}.{end}")), log)?;
            }
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    std::fs::write(folder.join(format!("{name}.yaml")), serde_saphyr::to_string(value)?)?;
    Ok(())
}
