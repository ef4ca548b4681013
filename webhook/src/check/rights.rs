//! What Curfew's service account may do, of what it needs.

use super::{
    Facts, Finding,
    settings::{self, Certificates},
};
use crate::config::Settings;
use k8s_openapi::api::apps::v1::Deployment;

const SUBJECT: &str = "rights";

/// One right that Curfew needs, and what is lost without it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// API group, empty for the core one.
    pub group: &'static str,
    /// Resource, with its subresource behind a slash.
    pub resource: &'static str,
    /// The one object it is about.
    pub name: Option<String>,
    /// The one namespace it is about.
    pub namespace: Option<String>,
    /// What is lost without it.
    pub lost: &'static str,
    /// Curfew does not do its work without it.
    pub needed: bool,
}

// === impl Right ===

impl Right {
    /// All that a Curfew needs with this Deployment and this behaviour.
    pub(super) fn all(
        own: &str,
        deployment: &Deployment,
        settings: &Settings,
        configuration: &str,
    ) -> Vec<Self> {
        let right = |verb, group, resource, lost, needed| Self {
            verb,
            group,
            resource,
            name: None,
            namespace: None,
            lost,
            needed,
        };
        let mut all = Vec::new();
        // The watch alone plans nothing, and needs no certificate.
        let plans = !settings::has(deployment, "--no-webhook");
        // What the watch has not told of yet is asked for.
        let lost = "annotations of a namespace made just now are no defaults for its first pods";
        all.extend(plans.then(|| right("get", "", "namespaces", lost, false)));
        for verb in ["list", "watch"] {
            let lost = "annotations of namespaces are no defaults for their pods";
            all.extend(plans.then(|| right(verb, "", "namespaces", lost, false)));
        }
        for verb in ["list", "watch"] {
            let lost =
                "without nodes.oldestKubelet, what kubelets can do is guessed by the API server's version";
            let guesses = plans && settings.nodes.oldest_kubelet.is_none();
            all.extend(guesses.then(|| right(verb, "", "nodes", lost, false)));
        }
        if settings.watch {
            for verb in ["list", "watch"] {
                all.push(right(verb, "", "pods", "no reaper is told that its pod's work is done", true));
            }
            all.push(right(
                "patch",
                "",
                "pods/status",
                "no reaper is told that its pod's work is done",
                true,
            ));
            all.push(right("create", "", "events", "nobody is told of pods whose sidecars stay", false));
        }
        if let Certificates::Own(secret) = settings::certificates(deployment)
            && plans
        {
            let lost = "its certificate is not kept and renewed";
            for verb in ["create", "get", "list", "watch", "update"] {
                let one = right(verb, "", "secrets", lost, true);
                // A name that is yet to be made cannot be granted.
                let name = (verb != "create").then(|| secret.clone());
                all.push(Self { name, namespace: Some(own.to_owned()), ..one });
            }
            for verb in ["get", "list", "watch", "patch"] {
                let lost = "the API server is not told whom to trust";
                let one =
                    right(verb, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", lost, true);
                all.push(Self { name: Some(configuration.to_owned()), ..one });
            }
        }
        all
    }

    /// The same for one namespace alone, where that is as good.
    pub(super) fn in_namespace(&self, namespace: &str) -> Option<Self> {
        let there = Self { namespace: Some(namespace.to_owned()), ..self.clone() };
        match self.resource {
            // Who may not list them asks for the one a pod is of. Its name is its namespace, too.
            "namespaces" => Some(Self { verb: "get", name: Some(namespace.to_owned()), ..there }),
            "pods" | "pods/status" | "events" => Some(there),
            _ => None,
        }
    }

    /// `list pods`, `get secrets curfew-ca in curfew`.
    fn told(&self) -> String {
        let Self { verb, resource, name, namespace, .. } = self;
        let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = namespace.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
        format!("{verb} {resource}{name}{place}")
    }
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let account = facts.deployment().map_or("curfew".to_owned(), settings::account);
    let who = format!("{}:{account}", facts.own);
    if let Some(why) = facts.rights.iter().find_map(|(_, may)| may.as_ref().err()) {
        return vec![Finding::unseen(SUBJECT, &format!("what the service account {who} may do"), why)];
    }
    let missing: Vec<_> =
        facts.rights.iter().filter(|(_, may)| *may == Ok(false)).map(|(right, _)| right).collect();
    if missing.is_empty() {
        let many = facts.rights.len();
        return match many {
            0 => Vec::new(),
            _ => vec![Finding::ok(
                SUBJECT,
                format!("the service account {who} has the {many} rights it needs"),
            )],
        };
    }
    // What is lost by several is told once.
    let mut losses: Vec<&str> = missing.iter().map(|right| right.lost).collect();
    losses.dedup();
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for lost in losses {
        if seen.contains(&lost) {
            continue;
        }
        seen.push(lost);
        let of: Vec<_> = missing.iter().filter(|right| right.lost == lost).collect();
        let rights: Vec<_> = of.iter().map(|right| right.told()).collect();
        let text = format!("the service account {who} may not {}: {lost}", rights.join(", "));
        let needed = of.iter().any(|right| right.needed);
        let finding = if needed { Finding::fail(SUBJECT, text) } else { Finding::warn(SUBJECT, text) };
        findings.push(finding.mend("grant it: its roles are part of the installation"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{facts, running},
    };

    fn of(args: &[&str], settings: &Settings) -> Vec<Right> {
        Right::all("curfew", &running("curfew", args), settings, "00-curfew")
    }

    fn own() -> Vec<Right> {
        of(&["serve", "--tls-secret=curfew-ca"], &Settings::default())
    }

    fn with(may: impl Fn(&Right) -> Result<bool, Unseen>) -> Vec<Finding> {
        let mut facts = facts();
        facts.rights = own()
            .into_iter()
            .map(|right| {
                let may = may(&right);
                (right, may)
            })
            .collect();
        check(&facts)
    }

    #[test]
    fn what_is_lost_decides_how_bad_a_missing_right_is() {
        assert_eq!(with(|_| Ok(true))[0].severity, Severity::Ok);
        let found = with(|right| Ok(right.resource != "nodes"));
        assert!(found.len() == 1 && found[0].severity == Severity::Warn, "{found:?}");
        assert!(found[0].finding.contains("curfew:curfew may not list nodes, watch nodes"), "{found:?}");
        let found = with(|right| Ok(right.resource != "secrets" || right.verb == "create"));
        assert!(
            found[0].severity == Severity::Fail
                && found[0].finding.contains("get secrets curfew-ca in curfew"),
            "{found:?}"
        );
    }

    #[test]
    fn who_may_not_ask_knows_nothing_of_it() {
        let found = with(|_| Err(Unseen("you may not".to_owned())));
        assert!(found.len() == 1 && !found[0].seen, "{found:?}");
    }

    #[test]
    fn it_needs_what_its_flags_and_its_behaviour_want_and_no_more() {
        let resources = |args: &[&str], settings: &Settings| {
            let mut named: Vec<_> = of(args, settings).into_iter().map(|right| right.resource).collect();
            named.dedup();
            named
        };
        let (watch, no_watch) = (Settings::default(), Settings { watch: false, ..Settings::default() });
        let mut floor = no_watch.clone();
        floor.nodes.oldest_kubelet = "1.30".parse().ok();
        let files = &["serve", "--tls-cert=/tls.crt"];
        assert_eq!(resources(files, &no_watch), ["namespaces", "nodes"]);
        assert_eq!(resources(files, &floor), ["namespaces"]);
        assert_eq!(resources(&["serve", "--no-webhook"], &watch), ["pods", "pods/status", "events"]);
        let all = resources(&["serve", "--tls-secret=curfew-ca"], &watch);
        assert_eq!(all[5..], ["secrets", "mutatingwebhookconfigurations"], "{all:?}");
    }

    #[test]
    fn what_is_asked_about_is_what_the_installation_grants() {
        let roles = [
            include_str!("../../../manifests/kustomize/base/rights-cluster.yaml"),
            include_str!("../../../manifests/kustomize/base/rights-certificates.yaml"),
        ];
        let documents = roles.map(|text| serde_saphyr::from_multiple::<Value>(text).expect("YAML"));
        let rules = documents.iter().flatten().filter_map(|document| document["rules"].as_array()).flatten();
        let texts = |rule: &Value, key: &str| -> Vec<String> {
            let listed = rule[key].as_array().into_iter().flatten();
            listed.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut granted = BTreeSet::new();
        for rule in rules {
            let [group] = &texts(rule, "apiGroups")[..] else { panic!("{rule}") };
            let [resource] = &texts(rule, "resources")[..] else { panic!("{rule}") };
            let name = texts(rule, "resourceNames").pop();
            let verbs = texts(rule, "verbs").into_iter();
            granted.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb, name.clone())));
        }
        let asked = own().into_iter().map(|right| {
            let [group, resource, verb] = [right.group, right.resource, right.verb].map(str::to_owned);
            (group, resource, verb, right.name)
        });
        assert_eq!(asked.collect::<BTreeSet<_>>(), granted);
    }

    #[test]
    fn by_namespace_it_may_have_what_is_of_pods_and_ask_for_the_namespace_itself() {
        let told = |resource: &str| {
            let right = own().into_iter().find(|right| right.resource == resource).expect(resource);
            right.in_namespace("load").map(|right| right.told())
        };
        assert_eq!(told("namespaces").as_deref(), Some("get namespaces load in load"));
        assert_eq!(told("pods/status").as_deref(), Some("patch pods/status in load"));
        assert_eq!((told("nodes"), told("secrets")), (None, None));
    }
}
