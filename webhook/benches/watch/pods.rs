//! Pods that nobody runs.

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

/// The benchmark's own namespace.
pub(crate) struct Cluster {
    namespaces: Api<Namespace>,
    pods: Api<Pod>,
}

/// What the kubelet would say of their mains.
#[derive(Clone, Copy)]
pub(crate) enum State {
    Running,
    Ended,
}

const NAME: &str = "curfew-bench-watch";
/// Requests at once.
const AT_ONCE: usize = 32;
const APPLIED: &str = "curfew.dev/applied=reaper";

// === impl Cluster ===

impl Cluster {
    /// Makes the namespace; one that an earlier run left goes first.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("KUBECONFIG names no cluster")?;
        let installed = ListParams::default().labels("app.kubernetes.io/name=curfew").limit(1);
        let installed = Api::<Deployment>::all(client.clone()).list(&installed).await?.items;
        // Its watch would mark the pods before ours does.
        ensure!(installed.is_empty(), "Curfew is installed on this cluster; take it off, or use another");
        let cluster =
            Self { namespaces: Api::all(client.clone()), pods: Api::namespaced(client.clone(), NAME) };
        cluster.clear().await?;
        let namespace = serde_json::from_value(json!({"metadata": {"name": NAME}}))?;
        cluster.namespaces.create(&PostParams::default(), &namespace).await?;
        // Pods are refused until it is there.
        let accounts = Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(client, NAME);
        while accounts.get_opt("default").await?.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
        Ok(cluster)
    }

    /// Makes them, and tells how long one is.
    pub(crate) async fn make(&self, pods: usize) -> anyhow::Result<usize> {
        stream::iter((0..pods).map(anyhow::Ok))
            .try_for_each_concurrent(AT_ONCE, |number| async move {
                self.pods.create(&PostParams::default(), &serde_json::from_value(pod(number))?).await?;
                Ok(())
            })
            .await?;
        Ok(serde_json::to_string(&self.pods.get(&name(0)).await?)?.len())
    }

    /// Writes the status of every one.
    pub(crate) async fn write(&self, pods: usize, state: State) -> anyhow::Result<()> {
        let (params, status) = (PatchParams::default(), status(state));
        stream::iter((0..pods).map(anyhow::Ok))
            .try_for_each_concurrent(AT_ONCE, |number| {
                let (params, status) = (&params, &status);
                async move {
                    self.pods.patch_status(&name(number), params, &Patch::Strategic(status)).await?;
                    Ok(())
                }
            })
            .await
    }

    /// Every one of them was told, and by its own UID.
    pub(crate) async fn check_told(&self, pods: usize) -> anyhow::Result<()> {
        let mut params = ListParams::default().labels(APPLIED).limit(500);
        let mut told = 0;
        loop {
            let page = self.pods.list_metadata(&params).await?;
            told += page
                .items
                .iter()
                .filter(|pod| {
                    let done = pod.metadata.annotations.as_ref().and_then(|all| all.get("curfew.dev/done"));
                    done.is_some() && done == pod.metadata.uid.as_ref()
                })
                .count();
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        ensure!(told == pods, "{told} of {pods} pods were told");
        Ok(())
    }

    /// Removes the namespace with all that is in it, and waits until it is gone.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        if self.namespaces.get_opt(NAME).await?.is_none() {
            return Ok(());
        }
        let at_once = DeleteParams::default().grace_period(0);
        let names = self.pods.list_metadata(&ListParams::default()).await?;
        let names: Vec<_> = names.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
        stream::iter(names)
            .for_each_concurrent(AT_ONCE, |name| {
                let at_once = &at_once;
                // Whatever stays goes with the namespace.
                async move { drop(self.pods.delete(&name, at_once).await) }
            })
            .await;
        self.namespaces.delete(NAME, &DeleteParams::default()).await?;
        while self.namespaces.get_opt(NAME).await?.is_some() {
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("load-test-runner-{number:05}")
}

/// A Job's pod beside a mesh's proxy, as it comes out of admission.
fn pod(number: usize) -> Value {
    let variables = |of: &str, count: usize| -> Vec<Value> {
        let value = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,[$(_pod_ip)]:4143";
        (0..count).map(|at| json!({"name": format!("{of}_SETTING_NUMBER_{at}"), "value": value})).collect()
    };
    let status = json!({"version": "0.1.0", "strategy": "reaper", "reason": "main has no command", "workload": "job",
        "containers": {"main": "main", "linkerd-proxy": "classic sidecar linkerd"},
        "passedOver": {"switch": "the mesh did not inject native sidecars that the mains wait for",
                       "native": "node old runs kubelet 1.28.9; native sidecars need 1.29"}});
    json!({
        "metadata": {
            "name": name(number),
            "labels": {"curfew.dev/applied": "reaper", "curfew.dev/reaper": "true", "app": "load-test",
                       "batch.kubernetes.io/job-name": "load-test-runner"},
            "annotations": {"curfew.dev/status": status.to_string(), "linkerd.io/inject": "enabled"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            // Nobody is to run it.
            "schedulingGates": [{"name": "curfew.dev/benchmark"}],
            "containers": [
                {"name": "main", "image": "example.com/load-test:1", "env": variables("MAIN", 15)},
                {"name": "linkerd-proxy", "image": "example.com/proxy:1", "env": variables("LINKERD2_PROXY", 40)},
                {"name": "curfew-reaper", "image": "example.com/curfew-reaper:1"},
            ],
        },
    })
}

fn status(state: State) -> Value {
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let main = match state {
        State::Running => running.clone(),
        State::Ended => json!({"running": null, "terminated": {"exitCode": 0, "reason": "Completed",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}}),
    };
    let container = |name: &str, state: &Value| {
        json!({"name": name, "state": state, "ready": true, "restartCount": 0, "image": "", "imageID": "",
               "started": true, "containerID": format!("containerd://{:064x}", name.len())})
    };
    json!({"status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [
        container("main", &main), container("linkerd-proxy", &running), container("curfew-reaper", &running)]}})
}
