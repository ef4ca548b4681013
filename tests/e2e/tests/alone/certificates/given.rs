//! Certificates that others give: cert-manager, by a stand-in for it and its cainjector, and files of the user's own.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use curfew_certs::{Ca, SubjectName};
use curfew_e2e::{
    Authority, Setup, Shape, Space,
    installed::{MINUTES, all_is_well, settled},
};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::json;
use tokio::time::interval;

use super::stream::under_admissions;
use crate::{
    chart::{Guest, install},
    metrics::counted,
};

const SECRET: &str = "curfew-tls";
const CONFIGURATION: &str = "00-curfew";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How often the stand-in looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(250);

/// Whose CA it is.
struct Issuer<'a> {
    space: &'a Space,
    ca: Ca,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
}

impl<'a> Issuer<'a> {
    fn new(space: &'a Space) -> Result<Self> {
        let ca = Ca::generate(SystemTime::now(), DAY * 3650)?;
        let secrets = Api::namespaced(space.client(), "curfew");
        Ok(Self { space, ca, secrets, configurations: Api::all(space.client()) })
    }

    /// Puts another certificate into the Secret, as cert-manager lays it out; tells when it ends.
    async fn issue(&self, secret: &str, names: &[SubjectName], life: Duration) -> Result<u64> {
        let leaf = self.ca.sign(names, SystemTime::now(), life)?;
        let fields = [
            ("tls.crt", leaf.certificate_pem.as_str()),
            ("tls.key", leaf.key_pem.as_str()),
            ("ca.crt", self.ca.certificate().pem()),
        ];
        let data: serde_json::Map<_, _> = fields
            .into_iter()
            .map(|(name, text)| (name.to_owned(), json!(ByteString(text.as_bytes().to_vec()))))
            .collect();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": secret}, "data": data});
        self.secrets.patch(secret, &PatchParams::apply("e2e").force(), &Patch::Apply(&object)).await?;
        Ok(leaf.life.to.duration_since(UNIX_EPOCH)?.as_secs())
    }

    /// What cert-manager and its cainjector do: a Certificate without a Secret gets one, and webhooks that ask for its CA
    /// get that. It goes on until it is dropped.
    async fn controls(&self) -> Result<Infallible> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate"));
        let certificates = Api::<DynamicObject>::namespaced_with(self.space.client(), "curfew", &kind);
        let mut pace = interval(LOOK);
        loop {
            pace.tick().await;
            if let Some(wanted) = certificates.get_opt("curfew").await? {
                let spec = &wanted.data["spec"];
                let secret = spec["secretName"].as_str().context("a Certificate without a Secret's name")?;
                let names = spec["dnsNames"].as_array().context("a Certificate without names")?;
                let names = names.iter().filter_map(|name| name.as_str());
                let names: Vec<SubjectName> = names.map(str::parse).collect::<Result<_, _>>()?;
                if self.secrets.get_opt(secret).await?.is_none() {
                    self.issue(secret, &names, DAY * 90).await?;
                }
            }
            let configuration = self.configurations.get(CONFIGURATION).await?;
            let asked = configuration.annotations().get("cert-manager.io/inject-ca-from");
            if asked.is_some_and(|certificate| certificate == "curfew/curfew") {
                self.inject(&configuration).await?;
            }
        }
    }

    async fn inject(&self, configuration: &MutatingWebhookConfiguration) -> Result<()> {
        let bundle = ByteString(self.ca.certificate().pem().as_bytes().to_vec());
        let webhooks = configuration.webhooks.iter().flatten().enumerate();
        let lacking = webhooks.filter(|(_, hook)| hook.client_config.ca_bundle.as_ref() != Some(&bundle));
        let operations: Vec<_> = lacking
            .map(|(place, _)| {
                json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle})
            })
            .collect();
        if !operations.is_empty() {
            let patch = serde_json::from_value(json!(operations))?;
            self.configurations
                .patch(CONFIGURATION, &PatchParams::default(), &Patch::Json::<()>(patch))
                .await?;
        }
        Ok(())
    }

    /// Waits until API servers trust this CA alone, and labelled pods are admitted by it.
    async fn is_trusted(&self) -> Result<()> {
        let wanted = BTreeSet::from([self.ca.certificate().pem().to_owned()]);
        self.space
            .until("the issuer's CA alone is trusted", MINUTES, async || {
                let bundles = Authority::of(self.space).bundles().await?;
                Ok(if bundles.iter().all(|bundle| *bundle == wanted) { Ok(()) } else { Err(bundles) })
            })
            .await?;
        all_is_well(self.space).await
    }

    /// Waits until each replica serves the leaf that ends then.
    async fn is_served(&self, end: u64) -> Result<()> {
        self.space
            .until("every replica serves the new leaf", MINUTES, async || {
                let series = "curfew_certificate_not_after_seconds{kind=\"leaf\"}";
                let ends = match counted(self.space, series).await {
                    Ok(ends) => ends,
                    // One of before that just goes cannot be asked.
                    Err(error) => return Ok(Err(format!("{error:#}"))),
                };
                let is_new = |(_, seen): &(String, f64)| *seen == end as f64;
                Ok(if ends.len() == 2 && ends.iter().all(is_new) { Ok(()) } else { Err(format!("{ends:?}")) })
            })
            .await
    }

    /// What has to hold in either mode.
    async fn a_testrun_finishes_and_a_leaf_follows_another(&self) -> Result<()> {
        self.is_trusted().await?;
        let space = self.space;
        space.sample("scripts").await?;
        space.sample("basic").await?;
        space.stage("basic", "finished").await?;
        space.all_complete(3).await?;
        space.meshed(Shape::Linkerd).await?;
        under_admissions(space, async {
            let end = self.issue(SECRET, &["curfew.curfew.svc".parse()?], DAY * 60).await?;
            self.is_served(end).await
        })
        .await
    }

    async fn leave(&self) -> Result<()> {
        self.secrets
            .delete(SECRET, &Default::default())
            .await
            .map(drop)
            .context("there is no Secret to take away")
    }
}

/// Installs with these options of Helm, while others go on.
async fn installed(space: &Space, options: &[&str]) -> Result<()> {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let run = move || install(&options.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await??;
    settled(space, 2).await
}

/// Back to a CA of Curfew's own.
async fn restored(space: &Space) -> Result<()> {
    installed(space, &[]).await?;
    Authority::at_rest(space).await?;
    all_is_well(space).await
}

#[tokio::test]
async fn with_cert_manager_a_testrun_finishes_and_there_and_back_curfew_is_trusted() -> Result<()> {
    Setup::new("cert-manager")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let _kinds = Guest::new(&BTreeSet::new())?;
            let issuer = Issuer::new(space)?;
            let body = async {
                installed(space, &["--set", "certificates.mode=cert-manager"]).await?;
                issuer.a_testrun_finishes_and_a_leaf_follows_another().await
            };
            let outcome = tokio::select! {
                done = body => done,
                error = issuer.controls() => error.map(|_| ()),
            };
            // The Secret with the CA of before is still there; cert-manager's replicas serve until the last one goes.
            let back = match &outcome {
                Ok(()) => under_admissions(space, restored(space)).await,
                Err(_) => restored(space).await,
            };
            let left = issuer.leave().await;
            outcome.and(back).and(left)
        })
        .await
}

#[tokio::test]
async fn with_files_of_the_users_own_a_testrun_finishes_and_leaves_follow_each_other() -> Result<()> {
    Setup::new("files")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            let issuer = Issuer::new(space)?;
            let file = std::env::temp_dir().join(format!("curfew-ca-{}.crt", std::process::id()));
            std::fs::write(&file, issuer.ca.certificate().pem())?;
            let bundle = format!("certificates.caBundle={}", file.display());
            let outcome = async {
                let end = issuer.issue(SECRET, &["curfew.curfew.svc".parse()?], DAY * 90).await?;
                installed(space, &["--set", "certificates.mode=files", "--set-file", &bundle]).await?;
                issuer.is_served(end).await?;
                issuer.a_testrun_finishes_and_a_leaf_follows_another().await
            }
            .await;
            let back = restored(space).await;
            let left = issuer.leave().await;
            std::fs::remove_file(&file)?;
            outcome.and(back).and(left)?;
            let bundle = Authority::of(space).bundle().await?;
            ensure!(
                !bundle.contains(issuer.ca.certificate().pem()),
                "the files' CA is still trusted: {bundle:?}"
            );
            Ok(())
        })
        .await
}
