//! The program that is brought into pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pod::Quantity;

/// The program that is brought into pods.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Reaper {
    /// Image with the binary at `/curfew-reaper` and a numeric user other than 0.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: PullPolicy,
    /// Secrets that are added to pods that get the image, by name; each of their namespaces has to have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// How the binary comes into the pod.
    pub delivery: Delivery,
    /// Resources of all that is added; where absent, those of the largest main, and next to none for the reaper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// Resources of a container: amounts by name, as in a pod.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What the kernel allows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
}

/// When a kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// Where the node does not have it.
    #[default]
    IfNotPresent,
    /// Never: it was brought to the node.
    Never,
}

/// How the binary comes into the pod.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// An init container copies it into an `emptyDir`: on every cluster.
    #[default]
    InitContainer,
    /// The image itself is mounted: Kubernetes ≥ 1.35 (on by default) with containerd ≥ 2.1 or CRI-O.
    ImageVolume,
}

// === impl Reaper ===

impl Default for Reaper {
    fn default() -> Self {
        Self {
            image: concat!("ghcr.io/curfew-dev/curfew-reaper:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: PullPolicy::default(),
            image_pull_secrets: Vec::new(),
            delivery: Delivery::default(),
            resources: None,
        }
    }
}

// === impl Resources ===

impl Resources {
    /// What the API server would refuse in every pod, if anything.
    pub(super) fn broken(&self) -> Option<String> {
        let amounts = self.requests.iter().chain(&self.limits);
        if let Some((name, amount)) =
            amounts.into_iter().find(|(_, amount)| Quantity::parse(amount).is_none())
        {
            return Some(format!("{name}: `{amount}` is no quantity"));
        }
        self.requests.iter().find_map(|(name, request)| {
            let limit = self.limits.get(name)?;
            let above = Quantity::parse(request) > Quantity::parse(limit);
            above.then(|| format!("{name}: the request `{request}` is above the limit `{limit}`"))
        })
    }
}
