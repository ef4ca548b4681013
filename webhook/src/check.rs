//! Whether Curfew works on a cluster, and what keeps it from that, as whoever asks may see it.
//!
//! [`gather`] looks and judges nothing; [`judge`] makes [`Finding`]s of the [`Facts`], purely, each check in a file of
//! its own. What could not be looked at is said, and never taken for well.

mod behaviour;
mod certificate;
mod configuration;
mod exclusion;
mod finding;
mod gather;
mod hooks;
mod images;
mod installed;
mod known;
mod namespaces;
mod nodes;
mod order;
mod policy;
mod probe;
mod reach;
mod report;
mod rights;
mod seen;
mod settings;
mod switches;
mod uninstall;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{
        admissionregistration::v1::MutatingWebhookConfiguration,
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Node, Pod},
    },
    jiff::Timestamp,
};

pub use behaviour::behaviour;
pub(crate) use exclusion::{LET_IN, left_out_by};
pub use finding::{Finding, Severity};
pub use gather::gather;
pub(crate) use known::is_curfew;
pub(crate) use nodes::abilities;
pub use probe::{Probe, dry_run};
pub(crate) use probe::{Status, status_of};
pub use report::{as_json, text};
pub use rights::Right;
pub use seen::{Seen, Unseen};
pub use uninstall::{carrying, uninstall};

use crate::plan::Version;

/// What Curfew's objects have as `app.kubernetes.io/name`.
const NAME: &str = "curfew";
/// Where that name stands.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What was seen of a cluster.
#[derive(Debug)]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// Curfew's own namespace.
    pub own: String,
    /// The API server's version; none where it tells none that can be read.
    pub server: Option<Version>,
    /// Every mutating webhook configuration.
    pub configurations: Seen<Vec<MutatingWebhookConfiguration>>,
    /// Deployments with Curfew's name as their label, wherever they are.
    pub deployments: Seen<Vec<Deployment>>,
    /// The ConfigMap that Curfew's Deployment reads its behaviour from; none where there is none.
    pub config: Seen<Option<ConfigMap>>,
    /// Secrets that Curfew's Deployment names, and the certificates in them, PEM; none where there is no such Secret.
    pub secrets: BTreeMap<String, Seen<Option<String>>>,
    /// Nodes, those that count by the configuration.
    pub nodes: Seen<Vec<Node>>,
    /// Namespaces.
    pub namespaces: Seen<Vec<Namespace>>,
    /// Whether namespaces that opted in hold the Secrets that are added to their pods, by namespace and Secret.
    pub pull_secrets: BTreeMap<(String, String), Seen<bool>>,
    /// What became of a pod that was not really made, by the namespace it was to be made in.
    pub probes: BTreeMap<String, Probe>,
    /// Pods Curfew was asked about that are not over.
    pub pods: Seen<Vec<Pod>>,
    /// What Curfew's service account may do of what it needs.
    pub rights: Vec<(Right, Seen<bool>)>,
    /// The resources on which bound policies of Curfew's keep its account to what it needs.
    pub policed: Seen<BTreeSet<String>>,
    /// Deployments beside the injectors of meshes: their images tell versions.
    pub injectors: Seen<Vec<Deployment>>,
}

/// Judges all of it, the worst first.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 12] = [
        installed::check,
        configuration::check,
        reach::check,
        certificate::check,
        order::check,
        hooks::check,
        namespaces::check,
        nodes::check,
        switches::check,
        images::check,
        rights::check,
        policy::check,
    ];
    let mut findings: Vec<_> = checks.iter().flat_map(|check| check(facts)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

impl Facts {
    /// The configurations whose webhooks lead to Curfew in its namespace.
    fn ours(&self) -> impl Iterator<Item = &MutatingWebhookConfiguration> {
        let all = self.configurations.as_deref().unwrap_or_default();
        all.iter().filter(|one| known::is_ours(one, &self.own))
    }

    /// The configuration that leaves a namespace out, whatever its label says.
    fn left_out_by(&self, namespace: &Namespace) -> Option<&str> {
        let metadata = &namespace.metadata;
        left_out_by(self.ours(), metadata.name.as_deref().unwrap_or_default(), metadata.labels.as_ref())
    }

    /// Curfew's own Deployment.
    fn deployment(&self) -> Option<&Deployment> {
        let all = self.deployments.as_deref().unwrap_or_default();
        all.iter().find(|one| one.metadata.namespace.as_deref() == Some(&*self.own))
    }
}

#[cfg(test)]
mod tests;
