//! What Curfew's service account may do, of what it needs.

use super::{
    Facts, Finding,
    settings::{self, Certificates},
};

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
    /// All that a Curfew needs whose Deployment says this.
    pub(super) fn all(
        own: &str,
        watches: bool,
        certificates: &Certificates,
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
        for verb in ["list", "watch"] {
            all.push(right(
                verb,
                "",
                "namespaces",
                "annotations of namespaces are no defaults for their pods",
                false,
            ));
            all.push(right(
                verb,
                "",
                "nodes",
                "without nodes.oldestKubelet, what kubelets can do is guessed by the API server's version",
                false,
            ));
        }
        if watches {
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
        if let Certificates::Own(secret) = certificates {
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

    /// What it is about lies in namespaces, so that it can be granted by namespace.
    pub(super) fn is_of_namespaces(&self) -> bool {
        self.namespace.is_none() && ["pods", "pods/status", "events"].contains(&self.resource)
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
    use super::*;
    use crate::check::{Severity, Unseen, tests::facts};

    fn own() -> Vec<Right> {
        Right::all("curfew", true, &Certificates::Own("curfew-ca".to_owned()), "00-curfew")
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
    fn without_a_watch_or_a_ca_of_its_own_it_needs_less() {
        let files = Certificates::Files(vec![]);
        let least = Right::all("curfew", false, &files, "00-curfew");
        assert!(least.iter().all(|right| ["namespaces", "nodes"].contains(&right.resource)), "{least:?}");
        assert!(own().iter().any(|right| right.resource == "pods/status"));
    }
}
