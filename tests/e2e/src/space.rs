//! One test's namespace: making objects in it, and waiting for what becomes of them.

mod expect;
mod wait;

use std::{
    fmt::Debug,
    process::{Command, Output},
};

use anyhow::{Context, Result};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{Event, Pod, ServiceAccount},
    },
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::wait::PATIENCE;
pub use self::wait::PATIENCE_FOR_A_STAGE;
use crate::{Strategy, objects::with_images};

/// A namespace of its own for one test.
pub struct Space {
    client: Client,
    name: String,
    strategy: Strategy,
}

impl Space {
    pub(crate) fn new(client: Client, name: String, strategy: Strategy) -> Self {
        Self { client, name, strategy }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Objects of one kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The client, for what lies outside of it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The same, asking as another user.
    ///
    /// # Errors
    /// There is no cluster.
    pub async fn client_as(&self, user: &str) -> Result<Client> {
        let mut config = Config::infer().await?;
        config.auth_info.impersonate = Some(user.to_owned());
        Ok(Client::try_from(config)?)
    }

    /// Objects of the kind this one is of.
    async fn api_of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, text("kind"));
        let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind)
            .await
            .with_context(|| format!("the cluster has no {}", text("kind")))?;
        Ok(match capabilities.scope {
            discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            discovery::Scope::Namespaced => Api::namespaced_with(self.client.clone(), &self.name, &resource),
        })
    }

    /// Makes an object, or brings one up to date.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn apply(&self, object: Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let api = self.api_of(&object).await?;
        let parameters = PatchParams::apply("e2e").force();
        api.patch(&name, &parameters, &Patch::Apply(&object))
            .await
            .with_context(|| format!("cannot apply {} {name}", object["kind"]))?;
        Ok(())
    }

    /// The same with every document of a YAML file; its images get the prefix in force.
    ///
    /// # Errors
    /// It is no YAML, or the API server refuses one of its objects.
    pub async fn apply_yaml(&self, text: &str) -> Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&with_images(text))?;
        for document in documents {
            self.apply(document).await?;
        }
        Ok(())
    }

    /// The same with one of the operator double's samples.
    ///
    /// # Errors
    /// There is none of this name, or the API server refuses it.
    pub async fn sample(&self, name: &str) -> Result<()> {
        self.apply_yaml(&self.sample_text(name)?).await
    }

    /// Such a sample as it is written.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn sample_text(&self, name: &str) -> Result<String> {
        let file = format!("{}/../operator/samples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&file).context(file)
    }

    /// What the API server would say if this were made: none if it would take it. Nothing is made.
    ///
    /// # Errors
    /// The API server does not answer, or does not know the kind.
    pub async fn refusal(&self, object: Value) -> Result<Option<String>> {
        let api = self.api_of(&object).await?;
        let object: DynamicObject = serde_json::from_value(object)?;
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        // What is no word on the object, as that a webhook did not answer in time, is waited out.
        self.until::<_, ()>("the API server says what it makes of it", PATIENCE, async || {
            match api.create(&dry, &object).await {
                Ok(_) => Ok(Ok(None)),
                Err(kube::Error::Api(status)) if [400, 403, 422].contains(&status.code) => {
                    Ok(Ok(Some(status.message)))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// The pods of a Job, oldest first.
    ///
    /// # Errors
    /// The API server's.
    pub async fn pods_of(&self, job: &str) -> Result<Vec<Pod>> {
        self.pods(&format!("job-name={job}")).await
    }

    /// The pods with these labels, oldest first.
    ///
    /// # Errors
    /// The API server's.
    pub async fn pods(&self, labels: &str) -> Result<Vec<Pod>> {
        let mut pods = self.api::<Pod>().list(&ListParams::default().labels(labels)).await?.items;
        pods.sort_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        Ok(pods)
    }

    /// The object as it stands that has this one's kind and name.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, object: Value) -> Result<DynamicObject> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Ok(self.api_of(&object).await?.get(name).await?)
    }

    /// A container's whole log.
    ///
    /// # Errors
    /// There is none.
    pub async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let parameters = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        Ok(self.api::<Pod>().logs(pod, &parameters).await?)
    }

    /// What `kubectl describe` tells a user of a pod.
    ///
    /// # Errors
    /// There is no kubectl: `KUBECTL` names it, or it is in `PATH`.
    pub fn described(&self, pod: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.kubectl(&["describe", "pod", pod])?.stdout).into_owned())
    }

    /// Runs kubectl in the namespace.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Result<Output> {
        let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        Command::new(&kubectl)
            .args(["--namespace", &self.name])
            .args(words)
            .output()
            .with_context(|| format!("cannot run {kubectl}"))
    }

    /// What events say of an object, oldest first: reason and message.
    ///
    /// # Errors
    /// The API server's.
    pub async fn events_of(&self, name: &str) -> Result<Vec<String>> {
        let parameters = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let events = self.api::<Event>().list(&parameters).await?;
        let text = |event: Event| {
            format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        };
        Ok(events.items.into_iter().map(text).collect())
    }

    /// Waits until an event with this reason tells why, the only one with it by then.
    ///
    /// # Errors
    /// It does not come, or not alone.
    pub async fn said_once(&self, name: &str, reason: &str, why: &str) -> Result<()> {
        let start = format!("{reason}: ");
        let what = format!("{name} has an event {reason:?} that says {why:?}");
        self.until(&what, PATIENCE, async || {
            let mut said = self.events_of(name).await?;
            said.retain(|event| event.starts_with(&start));
            Ok(if said.len() == 1 && said[0].contains(why) { Ok(()) } else { Err(said) })
        })
        .await
    }

    /// Takes an object of one kind away.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete<K>(&self, name: &str, parameters: &DeleteParams) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        self.api::<K>().delete(name, parameters).await?;
        Ok(())
    }

    /// Pods made before their service account exists are refused.
    pub(crate) async fn service_account_is_there(&self) -> Result<()> {
        self.until("the service account `default` is there", PATIENCE, async || {
            Ok(self.api::<ServiceAccount>().get_opt("default").await?.map_or(Err("none"), |_| Ok(())))
        })
        .await
    }

    /// Ends every pod at once, whatever made it.
    pub(crate) async fn clear(&self) {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::background() };
        let _jobs = self.api::<Job>().delete_collection(&now, &ListParams::default()).await;
        let _pods = self.api::<Pod>().delete_collection(&now, &ListParams::default()).await;
    }
}
