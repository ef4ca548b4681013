//! The policies that keep the rights of Curfew's account to what it needs of them.

use super::{
    Facts, Finding,
    settings::{self, Certificates},
};
use crate::plan::Version;

const SUBJECT: &str = "policy";
/// `ValidatingAdmissionPolicy` is served since.
const SINCE: Version = Version::new(1, 30, 0);

/// A right to patch, which reaches further than it has to, as RBAC knows no fields.
struct Reach {
    /// The resource that a policy has to be about.
    resource: &'static str,
    /// The right, and what the policy leaves of it.
    kept: &'static str,
    /// What its account may do without the policy.
    further: &'static str,
}

const OF_THE_WATCH: Reach = Reach {
    resource: "pods",
    kept: "right on pods/status to the annotation curfew.dev/done",
    further: "write any pod's status",
};
const OF_ITS_CERTIFICATES: Reach = Reach {
    resource: "mutatingwebhookconfigurations",
    kept: "right on its webhook configuration to the CA bundle",
    further: "have its webhook asked about anything",
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if facts.server.is_some_and(|server| server < SINCE) {
        let text = "Kubernetes before 1.30 has no ValidatingAdmissionPolicy: Curfew alone sees to it that its account changes no more than it has to";
        return vec![Finding::note(SUBJECT, text)];
    }
    let policed = match &facts.policed {
        Ok(policed) => policed,
        Err(why) => return vec![Finding::unseen(SUBJECT, "ValidatingAdmissionPolicies", why)],
    };
    // Without a watch it has no right on pods/status.
    let of_the_watch = settings::of(facts).unwrap_or_default().watch.then_some(OF_THE_WATCH);
    let keeps_a_ca = |one| matches!(settings::certificates(one), Certificates::Own(_));
    let of_its_certificates = facts.deployment().is_some_and(keeps_a_ca).then_some(OF_ITS_CERTIFICATES);
    let reaches = of_the_watch.into_iter().chain(of_its_certificates);
    let findings = reaches.map(|Reach { resource, kept, further }| match policed.contains(resource) {
        true => Finding::ok(SUBJECT, format!("a ValidatingAdmissionPolicy keeps Curfew's {kept}")),
        false => Finding::warn(
            SUBJECT,
            format!("no ValidatingAdmissionPolicy is bound that keeps Curfew's {kept}"),
        )
        .mend(format!("install it: Curfew works without, but its account may {further}")),
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{configured, facts, running},
    };

    #[test]
    fn it_is_there_or_missed_or_too_much_to_ask() {
        let mut facts = facts();
        assert_eq!(check(&facts)[0].severity, Severity::Ok);
        facts.policed = Ok([].into());
        assert_eq!(check(&facts)[0].severity, Severity::Warn);
        facts.policed = Err(Unseen("x".to_owned()));
        assert!(!check(&facts)[0].seen);
        facts.server = Some(Version::new(1, 29, 0));
        assert!(check(&facts)[0].severity == Severity::Note && check(&facts)[0].seen);
    }

    #[test]
    fn without_a_watch_there_is_no_right_on_pods_to_be_kept() {
        let mut facts = configured("watch: false");
        facts.policed = Ok([].into());
        assert_eq!(check(&facts), []);
    }

    #[test]
    fn who_keeps_a_ca_needs_one_for_the_webhook_configuration_too() {
        let mut facts = facts();
        assert_eq!(check(&facts).len(), 1);
        facts.deployments = Ok(vec![running("curfew", &["serve", "--tls-secret=curfew-ca"])]);
        let severities =
            |facts: &Facts| check(facts).iter().map(|finding| finding.severity).collect::<Vec<_>>();
        assert_eq!(severities(&facts), [Severity::Ok, Severity::Ok]);
        facts.policed = Ok(["pods".to_owned()].into());
        assert_eq!(severities(&facts), [Severity::Ok, Severity::Warn]);
        assert!(check(&facts)[1].finding.contains("CA bundle"), "{:?}", check(&facts)[1]);
    }
}
