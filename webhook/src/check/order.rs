//! Who is asked before Curfew and who after, and who again.
//!
//! Configurations are called in the byte order of their names; once anybody has changed the pod, those with
//! `reinvocationPolicy: IfNeeded` are asked once more.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;

use super::{Facts, Finding, known};

const SUBJECT: &str = "order";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Ok(all) = &facts.configurations else {
        // Said by the configuration's check.
        return Vec::new();
    };
    let Some(ours) = facts.ours().next() else { return Vec::new() };
    let name = known::name(ours);
    let others: Vec<_> = all
        .iter()
        .filter(|one| !known::is_curfew(one) && known::hooks(one).iter().any(known::is_asked_of_pods))
        .collect();
    let mut findings = Vec::new();
    if let Some(hook) =
        known::hooks(ours).iter().find(|hook| known::is_asked_of_pods(hook) && !asked_again(hook))
    {
        let text = format!(
            "{name}, {}: reinvocationPolicy is not IfNeeded, so that it never sees a proxy injected after it",
            hook.name
        );
        findings.push(Finding::fail(SUBJECT, text).mend("set it to IfNeeded: apply the manifest again"));
    }
    for other in &others {
        findings.extend(beside(name, other));
    }
    if findings.is_empty() {
        let after: Vec<_> = others.iter().map(|one| known::name(one)).collect();
        let text = match &after[..] {
            [] => format!("{name} is the only hook for pods"),
            after => format!("{name} is asked first and again after {}", after.join(", ")),
        };
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings
}

/// What another configuration's place means.
fn beside(name: &str, other: &MutatingWebhookConfiguration) -> Option<Finding> {
    let (theirs, mesh) = (known::name(other), known::mesh(other));
    let before = theirs < name;
    let again = known::hooks(other).iter().any(|hook| known::is_asked_of_pods(hook) && asked_again(hook));
    Some(match (before, again, mesh) {
        (true, _, Some(mesh)) => {
            let text = format!(
                "{theirs} is asked before {name}: what Curfew tells {} by annotation comes too late, and its proxy is edited instead",
                mesh.title
            );
            Finding::warn(SUBJECT, text)
                .mend("let Curfew's configuration sort first: 00-curfew does before most names")
        }
        (true, _, None) => Finding::note(
            SUBJECT,
            format!("{theirs} is asked before {name}: Curfew sees the pod as that leaves it"),
        ),
        (false, true, None) => {
            let text = format!(
                "{theirs} is asked again after Curfew: if it injects a sidecar that Curfew made native, it may add a second one, which the API server refuses"
            );
            Finding::note(SUBJECT, text).mend("should that be: curfew.dev/strategy: await on the namespace")
        }
        // Meshes with a switch keep to it when they are asked again, and those without are left as they are.
        (false, _, _) => return None,
    })
}

fn asked_again(hook: &k8s_openapi::api::admissionregistration::v1::MutatingWebhook) -> bool {
    hook.reinvocation_policy.as_deref() == Some("IfNeeded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        Severity,
        tests::{configuration, curfew, facts},
    };

    fn beside(others: &[(&str, &str)]) -> Vec<Finding> {
        let mut facts = facts();
        let others = others.iter().map(|(name, policy)| configuration(name, policy));
        facts.configurations = Ok(others.chain([curfew("00-curfew", "curfew")]).collect());
        check(&facts)
    }

    #[test]
    fn injectors_that_come_after_it_are_as_they_should_be() {
        let found = beside(&[
            ("linkerd-proxy-injector-webhook-config", "Never"),
            ("istio-sidecar-injector", "IfNeeded"),
        ]);
        assert!(found.len() == 1 && found[0].severity == Severity::Ok, "{found:?}");
        assert!(
            found[0]
                .finding
                .contains("again after linkerd-proxy-injector-webhook-config, istio-sidecar-injector")
        );
    }

    #[test]
    fn a_mesh_that_is_asked_before_it_is_told_too_late() {
        let mut facts = facts();
        facts.configurations =
            Ok(vec![curfew("curfew", "curfew"), configuration("consul-consul-connect-injector", "Never")]);
        let found = check(&facts).remove(0);
        assert!(found.severity == Severity::Warn && found.finding.contains("tells Consul"), "{found:?}");
        let stranger = beside(&[("00-a", "Never")]).remove(0);
        assert!(
            stranger.severity == Severity::Note && stranger.finding.contains("00-a is asked before"),
            "{stranger:?}"
        );
    }

    #[test]
    fn a_stranger_that_is_asked_again_after_it_may_add_a_second_sidecar() {
        let found = beside(&[("zz-injector", "IfNeeded"), ("zz-other", "Never")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].severity == Severity::Note && found[0].finding.contains("zz-injector is asked again")
        );
    }

    #[test]
    fn without_a_second_call_it_never_sees_a_proxy() {
        let mut ours = curfew("00-curfew", "curfew");
        ours.webhooks.iter_mut().flatten().for_each(|hook| hook.reinvocation_policy = None);
        let mut facts = facts();
        facts.configurations = Ok(vec![ours]);
        let found = check(&facts).remove(0);
        assert!(
            found.severity == Severity::Fail && found.finding.contains("reinvocationPolicy"),
            "{found:?}"
        );
    }
}
