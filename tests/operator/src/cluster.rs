//! The API server: what the operator reads and writes there, and nothing more than it may.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Pod, Service},
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{decide::Pods, queue::Key, spec::TestRun, stage::Stage};

/// The kinds that are served.
pub(crate) const KINDS: [&str; 2] = ["TestRun", "K6"];
/// Reading a log may take this long.
const LOG_TIMEOUT: Duration = Duration::from_secs(60);

/// How the API names a kind.
pub(crate) fn resource(kind: &str) -> ApiResource {
    ApiResource {
        group: "k6.io".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: crate::spec::API_VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: if kind == "K6" { "k6s" } else { "testruns" }.to_owned(),
    }
}

/// The API of one TestRun's namespace.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
}

// === impl Cluster ===

impl Cluster {
    fn runs(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
    }

    /// The TestRun as it is now, or `None` if it is gone.
    pub(crate) async fn run(&self, key: &Key) -> anyhow::Result<Option<TestRun>> {
        let found = self.runs(key.kind, &key.namespace).get_opt(&key.name).await?;
        found.map(|object| TestRun::read(key.kind, object)).transpose()
    }

    pub(crate) async fn set_status(
        &self,
        run: &TestRun,
        stage: Stage,
        conditions: &[Condition],
    ) -> anyhow::Result<()> {
        let mut status = json!({"conditions": conditions});
        if stage != Stage::New {
            status["stage"] = json!(stage);
        }
        let patch = Patch::Merge(json!({"status": status}));
        let (runs, params) = (self.runs(&run.kind, &run.namespace), PatchParams::default());
        match runs.patch_status(&run.name, &params, &patch).await {
            // It went in the meantime: there is no status to keep.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).with_context(|| format!("can't set stage {stage}")),
        }
    }

    pub(crate) async fn delete_run(&self, run: &TestRun) -> anyhow::Result<()> {
        self.runs(&run.kind, &run.namespace).delete(&run.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Creates a Job or a Service as it is written. An object that exists already is an error.
    pub(crate) async fn create(&self, namespace: &str, object: Value) -> anyhow::Result<()> {
        let service = object["kind"] == "Service";
        let what = format!("can't create the {} {}", object["kind"], object["metadata"]["name"]);
        let resource =
            if service { ApiResource::erase::<Service>(&()) } else { ApiResource::erase::<Job>(&()) };
        let object = serde_json::from_value(object)?;
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        api.create(&PostParams::default(), &object).await.context(what)?;
        Ok(())
    }

    pub(crate) async fn job_exists(&self, namespace: &str, name: &str) -> anyhow::Result<bool> {
        let jobs = Api::<Job>::namespaced(self.client.clone(), namespace);
        Ok(jobs.get_opt(name).await?.is_some())
    }

    /// The names and phases of the pods with these labels.
    pub(crate) async fn pods(&self, namespace: &str, labels: &str) -> anyhow::Result<Vec<(String, String)>> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let found = pods.list(&ListParams::default().labels(labels)).await?;
        let phase =
            |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
        Ok(found.iter().map(|pod| (pod.name_any(), phase(pod))).collect())
    }

    /// All of the log of a pod's container `k6`: standard output and standard error, as they came.
    pub(crate) async fn log(&self, namespace: &str, pod: &str) -> anyhow::Result<String> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let of_k6 = LogParams { container: Some("k6".to_owned()), ..LogParams::default() };
        Ok(timeout(LOG_TIMEOUT, pods.logs(pod, &of_k6)).await.context("reading it took 60 s")??)
    }

    /// The names and ClusterIPs of the runners' Services.
    pub(crate) async fn services(&self, run: &TestRun) -> anyhow::Result<Vec<(String, String)>> {
        let services = Api::<Service>::namespaced(self.client.clone(), &run.namespace);
        let found = services.list(&ListParams::default().labels(&run.runner_selector())).await?;
        let address =
            |one: &Service| one.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).unwrap_or_default();
        Ok(found.iter().map(|one| (one.name_any(), address(one))).collect())
    }

    /// The runners' Jobs.
    pub(crate) async fn runner_jobs(&self, run: &TestRun) -> anyhow::Result<Vec<Pods>> {
        let jobs = Api::<Job>::namespaced(self.client.clone(), &run.namespace);
        let found = jobs.list(&ListParams::default().labels(&run.runner_selector())).await?;
        let pods = |job: &Job| {
            let status = job.status.clone().unwrap_or_default();
            Pods { active: status.active.unwrap_or(0), failed: status.failed.unwrap_or(0) }
        };
        Ok(found.iter().map(pods).collect())
    }
}
