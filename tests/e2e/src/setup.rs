//! The namespace of one test: how it is labelled, and what becomes of it.

use std::{collections::BTreeMap, panic::AssertUnwindSafe};

use anyhow::{Context, Result};
use futures_util::FutureExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::ObjectMeta};

use crate::{artefacts, space::Space};

/// Whose proxy the test mesh injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[linkerd-proxy, main]`, its shutdown endpoint closed until an annotation opens it.
    Linkerd,
    /// `[main, istio-proxy]`, probes rewritten.
    Istio,
}

/// When the mesh's injector is called, and whether again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injector {
    /// Its configuration sorts before Curfew's, `reinvocationPolicy: Never`.
    BeforeNever,
    /// Before Curfew's, `IfNeeded`.
    BeforeIfNeeded,
    /// After Curfew's, `Never`: as Linkerd and Istio come.
    AfterNever,
    /// After Curfew's, `IfNeeded`.
    AfterIfNeeded,
}

/// How a test's pods are meant to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// None is named. Here, where every kubelet is new enough, the proxy becomes a native sidecar.
    #[default]
    Auto,
    /// The namespace names `await`.
    Await,
    /// The namespace names `reaper`.
    Reaper,
}

/// A namespace to be: what is not asked for is not in it.
#[derive(Clone, Debug)]
pub struct Setup {
    title: String,
    strategy: Strategy,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Shape {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Linkerd, Self::Istio];

    /// As the test mesh's annotation writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd",
            Self::Istio => "istio",
        }
    }

    /// The name of its proxy's container.
    pub fn proxy(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd-proxy",
            Self::Istio => "istio-proxy",
        }
    }
}

impl Injector {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::BeforeNever, Self::BeforeIfNeeded, Self::AfterNever, Self::AfterIfNeeded];

    /// As the test mesh's label writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeNever => "before-never",
            Self::BeforeIfNeeded => "before-ifneeded",
            Self::AfterNever => "after-never",
            Self::AfterIfNeeded => "after-ifneeded",
        }
    }
}

impl Setup {
    /// An ordinary namespace, called after the test.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            strategy: Strategy::Auto,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// With Curfew's label.
    pub fn curfew(self) -> Self {
        self.label("curfew.dev/inject", "enabled")
    }

    /// With this strategy.
    pub fn under(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        match strategy {
            Strategy::Auto => self,
            Strategy::Await => self.annotation("curfew.dev/strategy", "await"),
            Strategy::Reaper => self.annotation("curfew.dev/strategy", "reaper"),
        }
    }

    /// With the test mesh, injecting as real meshes do.
    pub fn mesh(self, shape: Shape) -> Self {
        self.injected(shape, Injector::AfterNever)
    }

    /// With the test mesh, its injector called at another time.
    pub fn injected(self, shape: Shape, injector: Injector) -> Self {
        self.label("mesh.test/inject", injector.name()).annotation("mesh.test/shape", shape.name())
    }

    /// With Dapr's injector, which is asked in the namespaces that have this label alone, and looks at pods that ask for it.
    pub fn dapr(self) -> Self {
        self.label("dapr.test/inject", "enabled")
    }

    /// With an option of the test mesh, as `ready-after` `5s`.
    pub fn option(self, name: &str, value: &str) -> Self {
        self.annotation(&format!("mesh.test/{name}"), value)
    }

    /// Where the mesh does not hold the main up until its proxy is ready: Linkerd does by default, Istio does not.
    pub fn without_hold(self) -> Self {
        self.annotation("config.linkerd.io/proxy-await", "disabled")
    }

    /// With a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With an annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Makes the namespace, runs the test in it, and takes it away again. If the test fails, its pods, events and logs
    /// are saved first, and the error says where.
    ///
    /// # Errors
    /// The test's own, or what kept its namespace from being made.
    pub async fn run(self, test: impl AsyncFnOnce(&Space) -> Result<()>) -> Result<()> {
        let client = Client::try_default().await.context("no cluster: run `make e2e`, or set KUBECONFIG")?;
        let api = Api::<Namespace>::all(client.clone());
        let Self { title, strategy, mut labels, annotations } = self;
        // By which what a killed run left is found.
        labels.insert("e2e.curfew.dev/test".to_owned(), "true".to_owned());
        let metadata = ObjectMeta {
            generate_name: Some(format!("e2e-{}-", slug(&title))),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let namespace =
            api.create(&Default::default(), &namespace).await.context("cannot make a namespace")?;
        let space = Space::new(client, namespace.metadata.name.unwrap_or_default(), strategy);
        let whole = async {
            space.service_account_is_there().await?;
            test(&space).await
        };
        let outcome = AssertUnwindSafe(whole).catch_unwind().await;
        let failed = !matches!(outcome, Ok(Ok(())));
        let saved = if failed { Some(artefacts::save(&space).await) } else { None };
        // Pods first, and without grace: a namespace full of sleeping proxies takes half a minute to go.
        space.clear().await;
        let _gone = api.delete(space.name(), &Default::default()).await;
        match (outcome, saved) {
            (Err(panic), _) => std::panic::resume_unwind(panic),
            (Ok(Err(error)), Some(place)) => Err(error.context(format!("pods, events and logs: {place}"))),
            (Ok(result), _) => result,
        }
    }
}

/// A title as part of a namespace's name.
fn slug(title: &str) -> String {
    let plain: String =
        title.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let short: String = plain.trim_matches('-').chars().take(40).collect();
    short.trim_end_matches('-').to_owned()
}
