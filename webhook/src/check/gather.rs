//! Looks at a cluster with the rights of whoever asks. Nothing is changed; what may not be seen is kept as that.

mod rights;

use std::{collections::BTreeMap, fmt::Debug};

use futures_util::{StreamExt, stream};
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        },
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Pod, Secret},
    },
};
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::{Facts, NAME, NAME_LABEL, Probe, Seen, known, probe, settings};
use crate::{
    plan::{APPLIED_LABEL, INJECT_LABEL},
    rescue::{self, denied},
};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Looks at all that [`super::judge`] judges. `own` is Curfew's namespace, and `fallback` the one a pod is tried in where
/// none has opted in.
///
/// # Errors
/// The API server does not answer at all.
pub async fn gather(client: &Client, own: &str, fallback: &str) -> anyhow::Result<Facts> {
    let server = client.apiserver_version().await?.git_version.parse().ok();
    let everything = ListParams::default();
    let (configurations, deployments, nodes, namespaces, pods, policy) = tokio::join!(
        list(
            Api::<MutatingWebhookConfiguration>::all(client.clone()),
            &everything,
            "list mutatingwebhookconfigurations",
            None
        ),
        deployments(client, own),
        list(Api::all(client.clone()), &everything, "list nodes", None),
        list(Api::<Namespace>::all(client.clone()), &everything, "list namespaces", None),
        touched(client),
        policy(client),
    );
    let mut facts = Facts {
        now: rescue::now(),
        own: own.to_owned(),
        server,
        configurations,
        deployments,
        config: Ok(None),
        secrets: BTreeMap::new(),
        nodes,
        namespaces,
        probes: BTreeMap::new(),
        pods,
        rights: Vec::new(),
        policy,
        injectors: Ok(Vec::new()),
    };
    facts.config = config(client, &facts).await;
    facts.secrets = secrets(client, &facts).await;
    facts.probes = probes(client, &facts, fallback).await;
    facts.rights = rights::of(client, &facts).await;
    facts.injectors = injectors(client, &facts).await;
    Ok(facts)
}

/// All objects of a kind, or the right that is missing.
pub(super) async fn list<K>(
    api: Api<K>,
    parameters: &ListParams,
    right: &str,
    namespace: Option<&str>,
) -> Seen<Vec<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let answer = api.list(parameters).await;
    answer.map(|list| list.items).map_err(|error| denied(error, right, namespace, right).into())
}

/// An object by its name; none where it is not there.
async fn get<K>(client: &Client, namespace: &str, name: &str, right: &str) -> Seen<Option<K>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let answer = Api::<K>::namespaced(client.clone(), namespace).get_opt(name).await;
    answer.map_err(|error| denied(error, right, Some(namespace), name).into())
}

/// Curfew's Deployments everywhere, or at least its own.
async fn deployments(client: &Client, own: &str) -> Seen<Vec<Deployment>> {
    let ours = ListParams::default().labels(&format!("{NAME_LABEL}={NAME}"));
    match list(Api::all(client.clone()), &ours, "list deployments", None).await {
        Ok(all) => Ok(all),
        Err(_) => list(Api::namespaced(client.clone(), own), &ours, "list deployments", Some(own)).await,
    }
}

/// Pods Curfew was asked about that are not over.
async fn touched(client: &Client) -> Seen<Vec<Pod>> {
    let parameters =
        ListParams::default().labels(APPLIED_LABEL).fields("status.phase!=Succeeded,status.phase!=Failed");
    list(Api::all(client.clone()), &parameters, "list pods", None).await
}

/// Whether a policy with Curfew's label is bound to deny.
async fn policy(client: &Client) -> Seen<bool> {
    let ours = ListParams::default().labels(&format!("{NAME_LABEL}={NAME}"));
    let right = "list validatingadmissionpolicies";
    let policies = list(Api::<ValidatingAdmissionPolicy>::all(client.clone()), &ours, right, None).await?;
    let right = "list validatingadmissionpolicybindings";
    let everything = ListParams::default();
    let bindings =
        list(Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()), &everything, right, None).await?;
    let names: Vec<_> = policies.into_iter().filter_map(|policy| policy.metadata.name).collect();
    Ok(bindings.into_iter().filter_map(|binding| binding.spec).any(|binding| {
        let denies = binding.validation_actions.iter().flatten().any(|action| action == "Deny");
        denies && binding.policy_name.is_some_and(|name| names.contains(&name))
    }))
}

async fn config(client: &Client, facts: &Facts) -> Seen<Option<ConfigMap>> {
    let Some(source) = facts.deployment().and_then(settings::source) else { return Ok(None) };
    get(client, &facts.own, &source.name, "get configmaps").await
}

/// The certificates in the Secrets that the Deployment names. Private keys are dropped where they come in.
async fn secrets(client: &Client, facts: &Facts) -> BTreeMap<String, Seen<Option<String>>> {
    let names = facts.deployment().map(settings::secrets).unwrap_or_default();
    let mut seen = BTreeMap::new();
    for name in names {
        let secret: Seen<Option<Secret>> = get(client, &facts.own, &name, "get secrets").await;
        seen.insert(name, secret.map(|secret| secret.map(|secret| certificates(&secret))));
    }
    seen
}

/// The PEM blocks of certificates in any field of a Secret, those of `tls.crt` first.
fn certificates(secret: &Secret) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut fields: Vec<_> = secret.data.iter().flatten().collect();
    fields.sort_by_key(|(name, _)| *name != "tls.crt");
    let mut found = String::new();
    for (_, ByteString(bytes)) in fields {
        let text = String::from_utf8_lossy(bytes);
        for block in text.split(BEGIN).skip(1) {
            if let Some((body, _)) = block.split_once(END) {
                found.push_str(&format!("{BEGIN}{body}{END}\n"));
            }
        }
    }
    found
}

/// Namespaces whose pods Curfew is asked about.
fn opted_in(facts: &Facts) -> Vec<String> {
    let enabled = facts.namespaces.iter().flatten().filter_map(|namespace| {
        let metadata = &namespace.metadata;
        let label = metadata.labels.as_ref()?.get(INJECT_LABEL)?;
        let there = metadata.deletion_timestamp.is_none();
        (label == "enabled" && there).then(|| metadata.name.clone())?
    });
    enabled.filter(|name| *name != facts.own && name != "kube-system").collect()
}

/// A pod that is not really made, in each namespace that opted in.
async fn probes(client: &Client, facts: &Facts, fallback: &str) -> BTreeMap<String, Probe> {
    let mut names = opted_in(facts);
    if names.is_empty() && fallback != facts.own {
        names.push(fallback.to_owned());
    }
    let pod = probe::pod();
    let probes = names.into_iter().map(|name| {
        let pod = &pod;
        async move {
            let probe = probe::dry_run(client, &name, pod).await;
            (name, probe)
        }
    });
    stream::iter(probes).buffer_unordered(AT_ONCE).collect().await
}

/// Deployments in the namespaces that injectors of meshes are in.
async fn injectors(client: &Client, facts: &Facts) -> Seen<Vec<Deployment>> {
    let meshes = facts.configurations.iter().flatten().filter(|one| known::mesh(one).is_some());
    let services = meshes.flat_map(known::hooks).filter_map(|hook| hook.client_config.service.as_ref());
    let mut namespaces: Vec<_> = services.map(|service| service.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let mut found = Vec::new();
    for namespace in namespaces {
        let api = Api::namespaced(client.clone(), namespace);
        found.extend(list(api, &ListParams::default(), "list deployments", Some(namespace)).await?);
    }
    Ok(found)
}

impl Facts {
    /// Nothing that matters could be looked at: neither who is asked about pods, nor what becomes of one.
    pub fn is_blind(&self) -> bool {
        let tried = self.probes.values().any(|probe| !matches!(probe, Probe::Unseen(_)));
        self.configurations.is_err() && !tried
    }
}

#[cfg(test)]
mod tests;
