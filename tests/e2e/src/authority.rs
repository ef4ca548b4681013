//! The Secret and the bundles, as a user sees them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{Space, installed::MINUTES};

const SECRET: &str = "curfew-ca";
const CONFIGURATION: &str = "00-curfew";

/// Both.
pub struct Authority<'a> {
    space: &'a Space,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
}

impl<'a> Authority<'a> {
    /// Those of the cluster this space is on.
    pub fn of(space: &'a Space) -> Self {
        let secrets = Api::namespaced(space.client(), "curfew");
        Self { space, secrets, configurations: Api::all(space.client()) }
    }

    /// The same, once nothing is under way any more.
    ///
    /// # Errors
    /// Something goes on and on.
    pub async fn at_rest(space: &'a Space) -> Result<Self> {
        let authority = Self::of(space);
        space
            .until("certificates are at rest", MINUTES, async || {
                let fields = authority.fields().await?;
                let text = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
                let wanted = certificates(&format!("{}{}", text("ca.crt"), text("previous.crt")));
                let is_done = !fields.contains_key("next.crt") && text("settled") == "true";
                let is_published = authority.bundles().await?.iter().all(|bundle| *bundle == wanted);
                let seen = fields.keys().cloned().collect::<Vec<_>>();
                Ok(if is_done && is_published { Ok(()) } else { Err((seen, is_published)) })
            })
            .await?;
        Ok(authority)
    }

    /// What the Secret holds.
    ///
    /// # Errors
    /// The API server's.
    pub async fn fields(&self) -> Result<BTreeMap<String, String>> {
        let data = self.secrets.get_opt(SECRET).await?.unwrap_or_default().data.unwrap_or_default();
        let text = |ByteString(bytes)| String::from_utf8_lossy(&bytes).into_owned();
        Ok(data.into_iter().map(|(name, bytes)| (name, text(bytes))).collect())
    }

    /// One of its fields.
    ///
    /// # Errors
    /// There is none.
    pub async fn field(&self, name: &str) -> Result<String> {
        self.fields().await?.remove(name).with_context(|| format!("Secret {SECRET} has no {name}"))
    }

    /// Which write of it this is.
    ///
    /// # Errors
    /// There is none.
    pub async fn version(&self) -> Result<Option<String>> {
        Ok(self.secrets.get(SECRET).await?.resource_version())
    }

    /// Changes it.
    ///
    /// # Errors
    /// The API server's.
    pub async fn patch(&self, change: Value) -> Result<()> {
        self.secrets.patch(SECRET, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    /// Takes it away; tells which one that was.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete(&self) -> Result<String> {
        let uid = self.secrets.get(SECRET).await?.uid().context("a Secret without a UID")?;
        self.secrets.delete(SECRET, &Default::default()).await?;
        Ok(uid)
    }

    /// Asks for another CA, as a user does.
    ///
    /// # Errors
    /// The API server's.
    pub async fn ask_for_another(&self) -> Result<()> {
        self.patch(json!({"metadata": {"annotations": {"curfew.dev/rotate": "true"}}})).await
    }

    /// Whether somebody asks.
    ///
    /// # Errors
    /// There is no Secret.
    pub async fn asks(&self) -> Result<bool> {
        Ok(self.secrets.get(SECRET).await?.annotations().contains_key("curfew.dev/rotate"))
    }

    /// Waits until another CA than `old` signs.
    ///
    /// # Errors
    /// None does.
    pub async fn replaced(&self, old: &str) -> Result<String> {
        self.space
            .until("another CA signs", MINUTES, async || {
                let fields = self.fields().await?;
                let now = fields.get("ca.crt").filter(|now| *now != old).cloned();
                Ok(now.ok_or_else(|| fields.into_keys().collect::<Vec<_>>()))
            })
            .await
    }

    /// Waits until the Secret holds `fields`, in another object than the one of that UID.
    ///
    /// # Errors
    /// It does not.
    pub async fn is_again(&self, fields: &BTreeMap<String, String>, gone: Option<&str>) -> Result<()> {
        self.space
            .until("the Secret is as it was", MINUTES, async || {
                let uid = self.secrets.get_opt(SECRET).await?.and_then(|secret| secret.uid());
                let is_another = uid.is_some() && uid.as_deref() != gone;
                let found = self.fields().await?;
                Ok(if is_another && found == *fields {
                    Ok(())
                } else {
                    Err(found.into_keys().collect::<Vec<_>>())
                })
            })
            .await
    }

    /// The certificates of each webhook's bundle.
    ///
    /// # Errors
    /// There is no configuration.
    pub async fn bundles(&self) -> Result<Vec<BTreeSet<String>>> {
        let webhooks = self.configurations.get(CONFIGURATION).await?.webhooks.unwrap_or_default();
        let bundle = |ByteString(bytes)| certificates(&String::from_utf8_lossy(&bytes));
        Ok(webhooks
            .into_iter()
            .map(|webhook| bundle(webhook.client_config.ca_bundle.unwrap_or_default()))
            .collect())
    }

    /// Those of the first.
    ///
    /// # Errors
    /// There is none.
    pub async fn bundle(&self) -> Result<BTreeSet<String>> {
        self.bundles().await?.into_iter().next().with_context(|| format!("{CONFIGURATION} has no webhook"))
    }

    /// Takes a webhook's bundle away.
    ///
    /// # Errors
    /// There is none.
    pub async fn blank(&self, webhook: usize) -> Result<()> {
        let path = format!("/webhooks/{webhook}/clientConfig/caBundle");
        let patch = serde_json::from_value(json!([{"op": "remove", "path": path}]))?;
        self.configurations.patch(CONFIGURATION, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
        Ok(())
    }
}

/// Each certificate of a PEM text.
fn certificates(pem: &str) -> BTreeSet<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(END).map(str::to_owned).collect()
}
