//! What API server and kubelets can do, by their versions.

use k8s_openapi::api::core::v1::Node;

use super::{Facts, Finding, settings};
use crate::{
    config::{FLOOR, Settings},
    plan::{Kubelets, Support, Version},
};

const SUBJECT: &str = "nodes";
/// `matchConditions` are kept since.
const SERVER: Version = Version::new(1, 28, 0);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match facts.server {
        Some(server) if server < SERVER => {
            let text = format!("the API server is {server}: Curfew needs 1.28 or newer");
            findings.push(Finding::fail(SUBJECT, text).mend("upgrade it"));
        }
        Some(server) => findings.push(Finding::ok(SUBJECT, format!("the API server is {server}"))),
        None => findings.push(Finding {
            seen: false,
            ..Finding::note(SUBJECT, "the API server tells no version that can be read")
        }),
    }
    let settings = settings::of(facts).unwrap_or_default();
    match &facts.nodes {
        Ok(nodes) => findings.extend(kubelets(nodes, &settings)),
        Err(why) => findings.push(Finding::unseen(SUBJECT, "kubelets", why)),
    }
    findings
}

/// What these nodes' kubelets can do, as the webhook itself judges them.
pub(crate) fn abilities(nodes: &[Node], settings: &Settings) -> Kubelets {
    let told: Vec<_> = nodes.iter().filter_map(|node| Some((name(node), version(node)?))).collect();
    let floor = settings.nodes.oldest_kubelet.map(|oldest| (FLOOR, oldest));
    let abilities = Kubelets::of(told.iter().copied(), floor);
    match nodes.iter().find(|node| !is_windows(node) && version(node).is_none()) {
        Some(silent) => abilities.beside_unknown(&format!(
            "node {} tells no version of its kubelet that can be read",
            name(silent)
        )),
        None => abilities,
    }
}

fn kubelets(nodes: &[Node], settings: &Settings) -> Vec<Finding> {
    let linux = nodes.iter().filter(|node| !is_windows(node)).count();
    let which = settings.nodes.selector.as_ref().map(|selector| format!(" ({selector})")).unwrap_or_default();
    let mut findings = Vec::new();
    let abilities = abilities(nodes, settings);
    let oldest = nodes.iter().filter_map(version).min();
    match (&abilities.native, oldest) {
        (Support::Yes, Some(oldest)) => findings.push(Finding::ok(
            SUBJECT,
            format!("{linux} nodes{which}, none with a kubelet older than {oldest}: sidecars can be native"),
        )),
        (Support::Yes, None) => {
            findings.push(Finding::ok(SUBJECT, "no node yet; none will be too old for native sidecars"))
        }
        (Support::No(why) | Support::Unknown(why), _) => {
            let text = format!("sidecars are not made native, {why}: commands are wrapped instead");
            findings.push(Finding::warn(SUBJECT, text).mend(
                "upgrade those nodes; or keep Jobs off them and leave them out by nodes.selector in the configuration",
            ));
        }
    }
    if let (Support::Yes, Support::No(why)) = (&abilities.native, &abilities.startup_probes) {
        let text = format!(
            "startup probes of native sidecars are not relied on, {why}: Curfew's gate waits in their place"
        );
        findings.push(Finding::note(SUBJECT, text));
    }
    if linux < nodes.len() {
        let windows = nodes.len() - linux;
        findings.push(Finding::note(SUBJECT, format!("{windows} Windows nodes: their pods are left alone")));
    }
    findings
}

fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

/// Of a node whose pods Curfew has to do with.
fn version(node: &Node) -> Option<Version> {
    if is_windows(node) {
        return None;
    }
    node.status.as_ref()?.node_info.as_ref()?.kubelet_version.parse().ok()
}

fn is_windows(node: &Node) -> bool {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    info.is_some_and(|info| info.operating_system == "windows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{configured, facts, node},
    };

    fn with(nodes: &[(&str, &str, &str)]) -> Vec<(Severity, String)> {
        let mut facts = facts();
        facts.nodes = Ok(nodes.iter().map(|(name, version, system)| node(name, version, system)).collect());
        check(&facts).into_iter().map(|found| (found.severity, found.finding)).collect()
    }

    #[test]
    fn new_nodes_are_well_and_an_old_one_is_named() {
        let found = with(&[("a", "v1.36.3", "linux"), ("b", "v1.34.4", "linux")]);
        assert!(found.iter().all(|(severity, _)| *severity == Severity::Ok), "{found:?}");
        assert!(found[1].1.contains("2 nodes, none with a kubelet older than 1.34.4"), "{found:?}");
        let found = with(&[("a", "v1.36.3", "linux"), ("b", "v1.28.9", "linux")]);
        assert!(
            found[1].0 == Severity::Warn && found[1].1.contains("node b runs kubelet 1.28.9"),
            "{found:?}"
        );
        let found = with(&[("a", "v1.33.5", "linux")]);
        assert!(found[2].0 == Severity::Note && found[2].1.contains("startup probes"), "{found:?}");
    }

    #[test]
    fn a_selector_is_told_with_the_nodes_it_selects() {
        let found = check(&configured("nodes: {selector: type!=virtual-kubelet}"));
        assert!(found[1].finding.starts_with("1 nodes (type!=virtual-kubelet), none"), "{found:?}");
    }

    #[test]
    fn windows_nodes_do_not_count_and_silent_ones_do() {
        let found = with(&[("a", "v1.36.3", "linux"), ("w", "v1.25.0", "windows")]);
        assert!(found[1].0 == Severity::Ok && found[2].1.contains("1 Windows"), "{found:?}");
        let found = with(&[("a", "v1.36.3", "linux"), ("odd", "latest", "linux")]);
        assert!(
            found[1].0 == Severity::Warn && found[1].1.contains("node odd tells no version"),
            "{found:?}"
        );
    }

    #[test]
    fn an_api_server_without_match_conditions_is_too_old() {
        let mut facts = facts();
        facts.server = "v1.27.4".parse().ok();
        facts.nodes = Err(Unseen("you may not".to_owned()));
        let found = check(&facts);
        assert_eq!(found[0].severity, Severity::Fail);
        assert!(!found[1].seen && found[1].finding.contains("you may not"), "{found:?}");
    }
}
