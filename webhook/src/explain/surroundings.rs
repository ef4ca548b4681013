//! What an explanation depends on besides its object.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        core::v1::{Namespace as NamespaceObject, Node},
    },
    jiff::Timestamp,
};
use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{
    About, Explanation, Template, selection,
    template::{self, Expected},
};
use crate::{
    admission::{self, Engine},
    check::{self, Probe, Unseen},
    config::Config,
    plan::{INJECT_LABEL, Kubelets, Namespace},
    rescue::{self, denied},
};

/// What an explanation depends on besides its object.
#[derive(Debug)]
pub struct Surroundings {
    /// Rows and defaults.
    pub config: Config,
    /// The namespace's annotations: defaults for its pods.
    pub namespace: Namespace,
    /// Its label that opts in.
    pub label: Option<String>,
    /// Curfew's webhook configuration, where that leaves the namespace out, whatever its label says.
    pub left_out_by: Option<String>,
    /// Why none of these is known.
    pub unread: Option<Unseen>,
    /// What the nodes' kubelets can do.
    pub kubelets: Kubelets,
    /// The time.
    pub now: Timestamp,
}

// === impl Surroundings ===

impl Surroundings {
    /// Where there is no cluster.
    pub fn offline(config: Config) -> Self {
        Self {
            kubelets: config.settings.nodes.kubelets_unseen(),
            config,
            namespace: Namespace::default(),
            label: None,
            left_out_by: None,
            unread: Some(Unseen("there is no cluster".to_owned())),
            now: rescue::now(),
        }
    }

    /// What is known of a namespace, and of the nodes.
    pub(super) async fn of(client: &Client, namespace: &str, config: Config) -> Self {
        let found = Api::<NamespaceObject>::all(client.clone()).get_metadata(namespace).await;
        let found =
            found.map_err(|error| denied(error, "get namespaces", None, &format!("namespace {namespace}")));
        let nodes = Api::<Node>::all(client.clone()).list(&config.settings.nodes.listed()).await;
        let kubelets = match nodes {
            Ok(nodes) => check::abilities(&nodes.items, &config.settings),
            Err(_) => config.settings.nodes.kubelets_unseen(),
        };
        let (unread, metadata) = match found {
            Ok(found) => (None, found.metadata),
            Err(error) => (Some(error.into()), Default::default()),
        };
        let labels: BTreeMap<_, _> = metadata.labels.unwrap_or_default();
        let left_out_by = match unread {
            None => left_out_by(client, namespace, &labels).await,
            Some(_) => None,
        };
        let label = labels.get(INJECT_LABEL).cloned();
        let namespace = Namespace {
            annotations: metadata.annotations.unwrap_or_default(),
            labelled: label.as_deref() == Some("enabled"),
            unread: None,
        };
        Self { config, namespace, label, left_out_by, unread, kubelets, now: rescue::now() }
    }

    /// Whether Curfew is asked about this pod; where nobody knows, it may be.
    pub(super) fn asked(&self, pod: &Value, namespace: &str) -> Result<(), (String, Option<String>)> {
        let asked = selection::asked(pod, namespace, self.label.as_deref(), self.left_out_by.as_deref());
        match &self.unread {
            // Only what the pod itself says is known then, and that needs no mend of the namespace.
            Some(_) => asked.or_else(|(why, mend)| if mend.is_some() { Ok(()) } else { Err((why, None)) }),
            None => asked,
        }
    }

    /// What would be done to a template, as far as that can be said.
    pub fn expect(&self, template: &Template, namespace: &str, probe: Option<&Probe>) -> Explanation {
        let (kind, name) = template.object.split_once('/').unwrap_or(("pod", &template.object));
        let mut told = Explanation::of(&kind.to_lowercase(), name, namespace);
        if let Some(why) = &self.unread {
            told.say(About::Unseen, format!("labels and annotations of the namespace: {why}"));
        }
        let engine = Engine::new(self.config.clone());
        let around = admission::Surroundings {
            namespace: &self.namespace,
            kubelets: &self.kubelets,
            watch: self.config.settings.watch,
        };
        let planned = engine.decide(template.template.clone(), Some(&template.pod), around, None);
        let asked = self.asked(&template.pod, namespace);
        template::expect(&Expected { asked, probe, planned: &planned }, &mut told);
        told
    }
}

/// Curfew's webhook configuration, where that leaves a namespace out; none where it does not, or may not be read.
async fn left_out_by(client: &Client, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let all = api.list(&ListParams::default()).await.ok()?.items;
    let curfews = all.iter().filter(|one| check::is_curfew(one));
    check::left_out_by(curfews, namespace, Some(labels)).map(str::to_owned)
}
