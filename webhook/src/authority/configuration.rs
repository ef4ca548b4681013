//! The bundles in the webhook configuration: what API servers trust.

use curfew_certs::{CaCertificate, authority::pem_of};
use json_patch::Patch;
use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use serde_json::json;

/// Says whose the bundles are: replicas of before that still run must not overwrite what cert-manager or the user has put
/// there since.
const MODE: &str = "curfew.dev/certificates";
const OURS: &str = "self-managed";

/// What was seen of it.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    version: String,
    /// Who else keeps the bundles, if somebody does.
    kept_by: Option<String>,
    /// By webhook, in its order: name and bundle.
    webhooks: Vec<(String, Vec<CaCertificate>)>,
}

// === impl Configuration ===

impl Configuration {
    /// Without webhooks where there is none.
    pub(super) fn of(found: Option<MutatingWebhookConfiguration>) -> Self {
        let MutatingWebhookConfiguration { metadata, webhooks } = found.unwrap_or_default();
        let webhooks = webhooks.unwrap_or_default().into_iter().map(|webhook| {
            let ByteString(bundle) = webhook.client_config.ca_bundle.unwrap_or_default();
            (webhook.name, CaCertificate::bundle_from_pem(&String::from_utf8_lossy(&bundle)))
        });
        let mode = metadata.annotations.unwrap_or_default().remove(MODE);
        Self {
            version: metadata.resource_version.unwrap_or_default(),
            kept_by: mode.filter(|mode| mode != OURS),
            webhooks: webhooks.collect(),
        }
    }

    /// Why nothing is to be put into the bundles, if that is so.
    pub(super) fn refusal(&self, name: &str) -> Option<String> {
        match &self.kept_by {
            Some(mode) => Some(format!(
                "MutatingWebhookConfiguration {name} has the annotation {MODE}: {mode}, so its bundles are not Curfew's: \
                 they stay, and who runs with --tls-secret has to go, or the annotation"
            )),
            None if self.webhooks.is_empty() => {
                Some(format!("there is no MutatingWebhookConfiguration {name} with a webhook yet"))
            }
            None => None,
        }
    }

    /// What every webhook's bundle holds.
    pub(super) fn trusted(&self) -> Vec<CaCertificate> {
        let Some(((_, first), others)) = self.webhooks.split_first() else { return Vec::new() };
        let by_all = |ca: &&CaCertificate| others.iter().all(|(_, bundle)| bundle.contains(ca));
        first.iter().filter(by_all).cloned().collect()
    }

    /// They do not all hold the same.
    pub(super) fn is_uneven(&self) -> bool {
        let trusted = self.trusted().len();
        self.webhooks.iter().any(|(_, bundle)| bundle.len() != trusted)
    }

    /// Puts `bundle` into every webhook.
    pub(super) fn patch(&self, bundle: &[CaCertificate]) -> Result<Patch, serde_json::Error> {
        let bundle = json!(ByteString(pem_of(bundle).into_bytes()));
        // With this the API server takes it for an update of what was seen: a conflict if that is no longer so.
        let mut operations =
            vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": self.version})];
        for place in 0..self.webhooks.len() {
            let path = format!("/webhooks/{place}/clientConfig/caBundle");
            operations.push(json!({"op": "add", "path": path, "value": bundle}));
        }
        serde_json::from_value(json!(operations))
    }
}
