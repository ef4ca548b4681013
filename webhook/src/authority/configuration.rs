//! The bundles in the webhook configuration: what API servers trust.

use curfew_certs::{CaCertificate, authority::pem_of};
use json_patch::Patch;
use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use serde_json::json;

/// What was seen of it.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    version: String,
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
        Self { version: metadata.resource_version.unwrap_or_default(), webhooks: webhooks.collect() }
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

    /// Puts `bundle` into every webhook; none where there is nothing to put it into.
    pub(super) fn patch(&self, bundle: &[CaCertificate]) -> Option<Patch> {
        if self.webhooks.is_empty() {
            return None;
        }
        let bundle = json!(ByteString(pem_of(bundle).into_bytes()));
        // With this the API server takes it for an update of what was seen: a conflict if that is no longer so.
        let mut operations =
            vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": self.version})];
        for place in 0..self.webhooks.len() {
            let path = format!("/webhooks/{place}/clientConfig/caBundle");
            operations.push(json!({"op": "add", "path": path, "value": bundle}));
        }
        serde_json::from_value(json!(operations)).ok()
    }
}
