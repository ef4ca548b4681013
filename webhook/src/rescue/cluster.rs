//! The cluster, as whoever asks may see and change it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Namespace as NamespaceObject, Pod as PodObject},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config, Resource,
    api::{ListParams, Patch, PatchParams},
    client::retry::RetryPolicy,
    config::{KubeConfigOptions, Kubeconfig},
    core::Request,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tower::{BoxError, retry::Retry, service_fn};

use super::{Circumstances, Hanging, Verdict, judge, state::State};
use crate::plan::{DONE_ANNOTATION, Namespace};

/// Pods asked for at once.
const PAGE: u32 = 250;
/// What does not hang for certain is not even asked for. A pod with a container that never started is Pending, whatever
/// has ended beside it.
const FIELDS: &str = "status.phase!=Succeeded,status.phase!=Failed,spec.restartPolicy!=Always";

/// An API server, and the rights of whoever asks.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    once: Client,
}

/// Which pods are looked at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The namespace, all of them where absent.
    pub namespace: Option<String>,
    /// Their labels.
    pub selector: Option<String>,
    /// Their names, all of them where empty.
    pub pods: Vec<String>,
}

/// Why the API server did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Who asks may not.
    #[error("needs the right to {right}: {message}")]
    Right {
        /// Verb and resource.
        right: String,
        /// The API server's own words.
        message: String,
    },
    /// The object is not there, or no longer.
    #[error("{0} is not there")]
    Gone(String),
    /// Anything else.
    #[error(transparent)]
    Else(#[from] kube::Error),
    /// It is no pod as the Kubernetes API has them.
    #[error("{0}: {1}")]
    Unreadable(String, serde_json::Error),
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMetadata {
    r#continue: Option<String>,
}

// === impl Cluster ===

impl Cluster {
    /// The cluster of a kubeconfig's context, and that context's namespace.
    ///
    /// # Errors
    /// There is no such file or context, or it does not say how to connect.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<(Self, String)> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = match (kubeconfig, context) {
            (Some(path), _) => {
                let name = || path.display().to_string();
                let file = Kubeconfig::read_from(path).map_err(without_contents).with_context(name)?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(without_contents)
                    .with_context(name)?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(without_contents)?,
            (None, None) => Config::infer()
                .await
                .map_err(without_contents)
                .context("no cluster: set KUBECONFIG, or give --kubeconfig")?,
        };
        // Retries come around it, where they are wanted.
        config.default_retry = false;
        let namespace = config.default_namespace.clone();
        Ok((Self::new(Client::try_from(config)?), namespace))
    }

    /// The cluster this client talks to, which makes no retries itself.
    pub fn new(once: Client) -> Self {
        Self { client: retrying(once.clone()), once }
    }

    /// A client that asks again where the API server is busy (429) or away (503, 504), as kube's do.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// One that does not, for those behind the API server: their 503 is an answer, which kube would keep to itself for
    /// minutes.
    pub fn once(&self) -> Client {
        self.once.clone()
    }

    /// The pods that hang. Of pods asked for by name, it is also told why the others do not.
    ///
    /// # Errors
    /// A right is missing, or a pod asked for by name is not there.
    pub async fn find(
        &self,
        scope: &Scope,
        around: Circumstances<'_>,
    ) -> Result<(Vec<Hanging>, Vec<String>), Denied> {
        let namespaces = self.namespaces(scope.namespace.as_deref()).await;
        let none = Namespace::default();
        let mut found = Vec::new();
        let mut others = Vec::new();
        let look = |raw: &str| {
            let unreadable = |error| Denied::Unreadable("a pod that cannot be read".to_owned(), error);
            let name = State::read(raw).map_err(unreadable)?.metadata.namespace;
            let namespace = namespaces.get(&name).unwrap_or(&none);
            judge(raw, Circumstances { namespace, ..around }).map_err(unreadable)
        };
        if scope.pods.is_empty() {
            let mut parameters = ListParams::default().fields(FIELDS).limit(PAGE);
            parameters.label_selector = scope.selector.clone();
            loop {
                let request = self.pods(scope.namespace.as_deref()).list(&parameters);
                let text = self.text(request, "list pods", scope.namespace.as_deref(), "pods").await?;
                let page: Page<'_> =
                    serde_json::from_str(&text).map_err(|error| Denied::Unreadable("pods".into(), error))?;
                // One that cannot be read is none that could be let go.
                let verdicts = page.items.iter().filter_map(|item| look(item.get()).ok());
                found.extend(verdicts.filter_map(|verdict| match verdict {
                    Verdict::Hangs(hanging) => Some(hanging),
                    Verdict::Fine(_) => None,
                }));
                match page.metadata.r#continue.filter(|token| !token.is_empty()) {
                    Some(token) => parameters.continue_token = Some(token),
                    None => break,
                }
            }
        }
        for pod in &scope.pods {
            let namespace = scope.namespace.as_deref().unwrap_or_default();
            match look(&self.pod(namespace, pod).await?)? {
                Verdict::Hangs(hanging) => found.push(hanging),
                Verdict::Fine(why) => others.push(format!("{namespace}/{pod} does not hang: {why}")),
            }
        }
        self.look_up_limits(&mut found).await;
        Ok((found, others))
    }

    /// Notes what their Jobs allow, of each Job once. Not everybody may read them: it is not known then.
    async fn look_up_limits(&self, pods: &mut [Hanging]) {
        let mut limits = BTreeMap::new();
        for pod in pods.iter_mut().filter(|pod| pod.swap_counts_as_restart) {
            let Some(job) = &pod.job else { continue };
            let key = (pod.namespace.clone(), job.clone());
            let limit = match limits.get(&key) {
                Some(limit) => *limit,
                None => {
                    let found = Api::<Job>::namespaced(self.client.clone(), &pod.namespace).get(job).await;
                    let limit = found.ok().and_then(|job| job.spec?.backoff_limit?.try_into().ok());
                    limits.insert(key, limit);
                    limit
                }
            };
            pod.backoff_limit = limit;
        }
    }

    /// A pod as it stands, its JSON.
    pub(super) async fn pod(&self, namespace: &str, pod: &str) -> Result<String, Denied> {
        let request = self.pods(Some(namespace)).get(pod, &Default::default());
        self.text(request, "get pods", Some(namespace), &format!("pod {namespace}/{pod}")).await
    }

    /// Swaps a container's image. The UID is a precondition: of a pod made anew under that name nothing changes.
    pub(super) async fn swap(&self, pod: &Hanging, container: &str, image: &str) -> Result<(), Denied> {
        // The container is meant by its name, wherever it is in the list.
        let spec = json!({"containers": [{"name": container, "image": image}]});
        self.patch(pod, &Patch::Strategic(json!({"metadata": {"uid": pod.uid}, "spec": spec}))).await
    }

    /// Tells the pod's reaper that the mains are done.
    pub(super) async fn tell_reaper(&self, pod: &Hanging) -> Result<(), Denied> {
        let metadata = json!({"uid": pod.uid, "annotations": {DONE_ANNOTATION: pod.uid}});
        self.patch(pod, &Patch::Merge(json!({"metadata": metadata}))).await
    }

    /// Pods of one namespace, typed, for what needs no more of them than their name.
    pub(super) fn api(&self, namespace: &str) -> Api<PodObject> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn patch(&self, pod: &Hanging, patch: &Patch<Value>) -> Result<(), Denied> {
        let request = self.pods(Some(&pod.namespace)).patch(&pod.pod, &PatchParams::default(), patch);
        self.text(request, "patch pods", Some(&pod.namespace), &format!("pod {}", pod.name())).await?;
        Ok(())
    }

    fn pods(&self, namespace: Option<&str>) -> Request {
        Request::new(PodObject::url_path(&(), namespace))
    }

    /// Annotations of namespaces are defaults for their pods. Not everybody may read them: none then.
    async fn namespaces(&self, only: Option<&str>) -> BTreeMap<String, Namespace> {
        let api = Api::<NamespaceObject>::all(self.client.clone());
        let list = match only {
            Some(name) => api.get_metadata(name).await.map(|one| vec![one]),
            None => api.list_metadata(&ListParams::default()).await.map(|list| list.items),
        };
        let facts = |annotations| Namespace { annotations, ..Namespace::default() };
        list.unwrap_or_default()
            .into_iter()
            .map(|one| {
                (one.metadata.name.unwrap_or_default(), facts(one.metadata.annotations.unwrap_or_default()))
            })
            .collect()
    }

    async fn text(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        right: &str,
        namespace: Option<&str>,
        object: &str,
    ) -> Result<String, Denied> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await.map_err(|error| denied(error, right, namespace, object))
    }
}

/// The same client with kube's own retries around it: one connection, and one login.
fn retrying(once: Client) -> Client {
    let namespace = once.default_namespace().to_owned();
    let send = service_fn(move |request| {
        let once = once.clone();
        async move { once.send(request).await.map_err(BoxError::from) }
    });
    Client::new(Retry::new(RetryPolicy::server_retry(), send), namespace)
}

/// The first line of a message about a kubeconfig: the others quote the file, tokens and all.
fn without_contents(error: impl std::error::Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.to_string().lines().next().unwrap_or_default())
}

/// What the API server's refusal means.
pub(crate) fn denied(error: kube::Error, right: &str, namespace: Option<&str>, object: &str) -> Denied {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let place = namespace.map_or("all namespaces".to_owned(), |name| format!("namespace {name}"));
            Denied::Right { right: format!("{right} in {place}"), message: status.message.clone() }
        }
        kube::Error::Api(status) if status.code == 404 => Denied::Gone(object.to_owned()),
        error => Denied::Else(error),
    }
}

/// The time, for [`Circumstances`].
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
