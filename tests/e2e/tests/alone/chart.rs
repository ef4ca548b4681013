//! The chart on a real API server: every way it can be rendered, an upgrade, and its end.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use curfew_chart::{Object, helm, parse, template, tool, values};
use curfew_e2e::{
    Setup, Space,
    installed::{all_is_well, gone, replicas, settled},
};
use futures_util::TryStreamExt;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration, apps::v1::Deployment, core::v1::Secret,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;

/// Runs kubectl; what it prints.
pub(crate) fn kubectl(words: &[&str]) -> Result<String> {
    let program = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let output = Command::new(program).args(words).output()?;
    ensure!(
        output.status.success(),
        "kubectl {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Installs Curfew, or brings it up to date, with these options of Helm.
pub(crate) fn install(options: &[&str]) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install.sh");
    let output = Command::new("sh").arg(script).args(options).output()?;
    ensure!(output.status.success(), "install.sh: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The same, and waits until its new replicas answer and those of before are gone: they answer by the old options while they
/// drain.
pub(crate) async fn installed_anew(space: &Space, options: &[&str]) -> Result<()> {
    let before = replicas(space).await?;
    install(options)?;
    settled(space, 2).await?;
    gone(space, &before).await?;
    all_is_well(space).await
}

/// What was not there and is now; it goes with this.
pub(crate) struct Guest(Vec<String>);

impl Guest {
    /// Makes the namespaces and kinds that rendered objects are in and of.
    pub(crate) fn new(namespaces: &BTreeSet<String>) -> Result<Self> {
        let mut guest = Self(Vec::new());
        for name in namespaces {
            guest.make(&format!("namespace/{name}"), &["create", "namespace", name])?;
        }
        for file in fs::read_dir(tool("crds")?)? {
            let file = file?.path();
            let [Object(crd)] = &parse(&fs::read_to_string(&file)?)?[..] else {
                anyhow::bail!("{} holds more than one definition", file.display());
            };
            let name =
                format!("customresourcedefinition/{}", crd["metadata"]["name"].as_str().context("a name")?);
            guest.make(&name, &["create", "-f", file.to_str().context("a path")?])?;
            // As long as there is no condition at all, kubectl calls waiting for one an error.
            for sign in ["jsonpath={.status.conditions}", "condition=Established"] {
                kubectl(&["wait", &format!("--for={sign}"), &name, "--timeout=60s"])?;
            }
        }
        Ok(guest)
    }

    fn make(&mut self, name: &str, words: &[&str]) -> Result<()> {
        if kubectl(&["get", name, "--ignore-not-found", "-o", "name"])?.is_empty() {
            self.0.push(name.to_owned());
            kubectl(words)?;
        }
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        for name in &self.0 {
            kubectl(&["delete", name, "--ignore-not-found", "--wait=false"]).ok();
        }
    }
}

#[test]
fn an_api_server_takes_every_way_it_can_be_rendered() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("curfew-chart-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (mut namespaces, mut files) = (BTreeSet::new(), Vec::new());
    for values in values()? {
        let text = template(&["--values", values.to_str().context("a path")?])?;
        let of_objects = parse(&text)?.into_iter().map(|object| object.identity().1);
        namespaces.extend(of_objects.filter(|namespace| !namespace.is_empty()));
        let file = folder.join(values.file_name().context("a name")?);
        fs::write(&file, text)?;
        files.push(file);
    }
    let _guest = Guest::new(&namespaces)?;
    let refused: Vec<_> = files
        .iter()
        .filter_map(|file| {
            // In the name of who has installed what is there: what Helm no longer wants goes.
            let asked = "apply --server-side --field-manager=helm --force-conflicts --dry-run=server --validate=strict";
            let words: Vec<_> = asked.split(' ').chain(["-f"]).chain(file.to_str()).collect();
            kubectl(&words).err().map(|error| error.to_string())
        })
        .collect();
    fs::remove_dir_all(&folder)?;
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    Ok(())
}

/// Every state an object of this name went through since, in their order.
pub(crate) async fn states<K>(api: &Api<K>, name: &str, since: &str, until: &str) -> Result<Vec<(bool, K)>>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + Resource,
{
    let parameters = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(60);
    let events = api.watch(&parameters, since).await?;
    let mut events = std::pin::pin!(events);
    let mut states = Vec::new();
    while let Some(event) = events.try_next().await? {
        let (gone, state) = match event {
            WatchEvent::Added(state) | WatchEvent::Modified(state) => (false, state),
            WatchEvent::Deleted(state) => (true, state),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(error) => anyhow::bail!("{error:?}"),
        };
        let last = gone || state.resource_version().as_deref() == Some(until);
        states.push((gone, state));
        if last {
            return Ok(states);
        }
    }
    anyhow::bail!("the watch of {name} ended before {until} was seen: {states:?}")
}

/// What each webhook trusts.
pub(crate) fn bundles(configuration: &MutatingWebhookConfiguration) -> Vec<&[u8]> {
    let webhooks = configuration.webhooks.iter().flatten();
    let bundles = webhooks.map(|webhook| webhook.client_config.ca_bundle.as_ref());
    bundles.map(|bundle| bundle.map_or(&[][..], |bundle| bundle.0.as_slice())).collect()
}

#[tokio::test]
async fn an_upgrade_leaves_the_ca_in_use_published_at_every_moment() -> Result<()> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(Client::try_default().await?);
    let before = api.get("00-curfew").await?;
    // The replicas may take others out meanwhile, which nobody signs with any more.
    let secret = Api::<Secret>::namespaced(Client::try_default().await?, "curfew").get("curfew-ca").await?;
    let ca = secret.data.and_then(|mut data| data.remove("ca.crt")).context("a CA")?.0;
    let ca = str::from_utf8(&ca)?.trim();
    let trusts = |state: &MutatingWebhookConfiguration| {
        bundles(state).iter().all(|bundle| str::from_utf8(bundle).is_ok_and(|bundle| bundle.contains(ca)))
    };
    ensure!(trusts(&before), "the CA is not published: {before:?}");

    // The configuration itself is written anew, and replicas are.
    let changed = install(&["--set", "webhook.timeoutSeconds=6", "--set", "log=debug"]);
    let restored = install(&[]);
    changed.and(restored)?;

    let after = api.get("00-curfew").await?.resource_version().context("a version")?;
    let since = before.resource_version().context("a version")?;
    let states = states(&api, "00-curfew", &since, &after).await?;
    let timeouts: Vec<_> =
        states.iter().flat_map(|(_, state)| &state.webhooks).map(|w| w[0].timeout_seconds).collect();
    ensure!(timeouts.contains(&Some(6)) && timeouts.last() == Some(&Some(5)), "{timeouts:?}");
    for (_, state) in &states {
        ensure!(trusts(state), "the CA in use was not in it for a while: {state:?}");
    }
    Ok(())
}

#[tokio::test]
async fn uninstalling_takes_the_webhook_configuration_first_and_leaves_nothing_but_the_ca() -> Result<()> {
    let client = Client::try_default().await?;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "curfew");
    let operator: Api<Deployment> = Api::namespaced(client, "k6-operator-system");
    const OPERATOR: &str = "k6-operator-controller-manager";
    let its_generation = operator.get(OPERATOR).await?.metadata.generation;
    let since = (
        configurations.get("00-curfew").await?.resource_version().context("a version")?,
        deployments.get("curfew").await?.resource_version().context("a version")?,
    );

    let uninstalled = helm(["uninstall", "curfew", "--namespace", "curfew", "--wait"]);
    let kinds = "serviceaccounts,configmaps,services,roles,rolebindings,deployments,poddisruptionbudgets,networkpolicies,\
                 clusterroles,clusterrolebindings,priorityclasses,mutatingwebhookconfigurations,\
                 validatingadmissionpolicies,validatingadmissionpolicybindings,secrets";
    let left = kubectl(&["get", kinds, "-A", "-l", "app.kubernetes.io/name=curfew", "-o", "name"]);
    install(&[])?;
    uninstalled?;
    ensure!(left.as_deref().is_ok_and(|left| left.trim() == "secret/curfew-ca"), "{left:?} is left");

    let configuration = end(&states(&configurations, "00-curfew", &since.0, "").await?)?;
    let deployment = end(&states(&deployments, "curfew", &since.1, "").await?)?;
    ensure!(
        configuration < deployment,
        "the Deployment went at {deployment}, the configuration at {configuration}"
    );
    ensure!(operator.get(OPERATOR).await?.metadata.generation == its_generation, "k6-operator was touched");
    Setup::new("back").curfew().run(all_is_well).await
}

/// When it went: an API server's versions are in the order of changes, whatever the kind.
fn end<K: Resource>(states: &[(bool, K)]) -> Result<u64> {
    let (_, last) = states.last().filter(|(gone, _)| *gone).context("it never went")?;
    Ok(last.resource_version().context("a version")?.parse()?)
}
