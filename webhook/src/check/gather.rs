//! Looks at a cluster with the rights of whoever asks. Nothing is changed; what may not be seen is kept as that.

mod rights;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

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
    let (configurations, deployments, namespaces, pods, policed) = tokio::join!(
        list(
            Api::<MutatingWebhookConfiguration>::all(client.clone()),
            &everything,
            "list mutatingwebhookconfigurations",
            None
        ),
        deployments(client, own),
        list(Api::<Namespace>::all(client.clone()), &everything, "list namespaces", None),
        touched(client),
        policed(client),
    );
    let mut facts = Facts {
        now: rescue::now(),
        own: own.to_owned(),
        server,
        configurations,
        deployments,
        config: Ok(None),
        secrets: BTreeMap::new(),
        nodes: Ok(Vec::new()),
        namespaces,
        pull_secrets: BTreeMap::new(),
        probes: BTreeMap::new(),
        pods,
        rights: Vec::new(),
        policed,
        injectors: Ok(Vec::new()),
    };
    facts.config = config(client, &facts).await;
    let settings = settings::of(&facts).unwrap_or_default();
    facts.nodes = list(Api::all(client.clone()), &settings.nodes.listed(), "list nodes", None).await;
    facts.secrets = secrets(client, &facts).await;
    facts.pull_secrets = pull_secrets(client, &facts, &settings.reaper.image_pull_secrets).await;
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
pub(super) async fn get<K>(client: &Client, namespace: &str, name: &str, right: &str) -> Seen<Option<K>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let answer = Api::<K>::namespaced(client.clone(), namespace).get_opt(name).await;
    answer.map_err(|error| denied(error, right, Some(namespace), name).into())
}

/// Objects with Curfew's name as their label.
pub(super) fn of_curfew() -> ListParams {
    ListParams::default().labels(&format!("{NAME_LABEL}={NAME}"))
}

/// Curfew's Deployments everywhere, or at least its own.
async fn deployments(client: &Client, own: &str) -> Seen<Vec<Deployment>> {
    let ours = of_curfew();
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

/// The resources that policies with Curfew's label, bound to deny, are about.
async fn policed(client: &Client) -> Seen<BTreeSet<String>> {
    let right = "list validatingadmissionpolicies";
    let api = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let policies = list(api, &of_curfew(), right, None).await?;
    let right = "list validatingadmissionpolicybindings";
    let everything = ListParams::default();
    let bindings =
        list(Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()), &everything, right, None).await?;
    let denied: Vec<_> = bindings
        .into_iter()
        .filter_map(|binding| binding.spec)
        .filter(|binding| binding.validation_actions.iter().flatten().any(|action| action == "Deny"))
        .map(|binding| binding.policy_name)
        .collect();
    let bound = policies.into_iter().filter(|policy| denied.contains(&policy.metadata.name));
    let rules = bound.filter_map(|policy| policy.spec?.match_constraints?.resource_rules).flatten();
    Ok(rules.filter_map(|rule| rule.resources).flatten().collect())
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

/// Whether namespaces that opted in hold the Secrets that are added to their pods. Only their metadata is asked for.
async fn pull_secrets(
    client: &Client,
    facts: &Facts,
    names: &[String],
) -> BTreeMap<(String, String), Seen<bool>> {
    let opted_in = opted_in(facts);
    let all = opted_in.iter().flat_map(|namespace| names.iter().map(move |name| (namespace, name)));
    let looks = all.map(|(namespace, name)| async move {
        let answer = Api::<Secret>::namespaced(client.clone(), namespace).get_metadata_opt(name).await;
        let held = answer.map(|found| found.is_some());
        let held = held.map_err(|error| denied(error, "get secrets", Some(namespace), name).into());
        ((namespace.clone(), name.clone()), held)
    });
    stream::iter(looks).buffer_unordered(AT_ONCE).collect().await
}

/// Namespaces whose pods Curfew is asked about.
fn opted_in(facts: &Facts) -> Vec<String> {
    let enabled = facts.namespaces.iter().flatten().filter_map(|namespace| {
        let metadata = &namespace.metadata;
        let label = metadata.labels.as_ref()?.get(INJECT_LABEL)?;
        let there = metadata.deletion_timestamp.is_none() && facts.left_out_by(namespace).is_none();
        (label == "enabled" && there).then(|| metadata.name.clone())?
    });
    enabled.collect()
}

/// Curfew is asked about no pod of a namespace that opts out, not even about one that has the label itself.
fn is_disabled(namespace: &Namespace) -> bool {
    let labels = namespace.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(INJECT_LABEL)).is_some_and(|label| label == "disabled")
}

/// A pod that is not really made, in each namespace that opted in.
async fn probes(client: &Client, facts: &Facts, fallback: &str) -> BTreeMap<String, Probe> {
    let mut names = opted_in(facts);
    let known = facts.namespaces.iter().flatten().find(|one| one.metadata.name.as_deref() == Some(fallback));
    let left_out =
        known.is_some_and(|namespace| is_disabled(namespace) || facts.left_out_by(namespace).is_some());
    if names.is_empty() && fallback != facts.own && !left_out {
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
