//! Curfew's own webhook configuration: there, once, and as it must be to be asked.

use super::{Facts, Finding, known, settings};

const SUBJECT: &str = "configuration";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let all = match &facts.configurations {
        Ok(all) => all,
        Err(why) => return vec![Finding::unseen(SUBJECT, "mutating webhook configurations", why)],
    };
    let mut findings = Vec::new();
    let ours: Vec<_> = facts.ours().collect();
    match &ours[..] {
        [] if settings::is_watch_alone(facts) => {
            let text = "no mutating webhook configuration is meant to lead here: Curfew runs with --no-webhook, for its watch alone";
            findings.push(Finding::note(SUBJECT, text));
        }
        [] => {
            let text =
                format!("no mutating webhook configuration leads to Curfew in namespace {}", facts.own);
            let mend = "install it, or name its namespace with --namespace";
            findings.push(Finding::fail(SUBJECT, text).mend(mend));
        }
        [one] => findings.extend(shape(known::name(one), one, &facts.own)),
        many => {
            let names: Vec<_> = many.iter().map(|one| known::name(one)).collect();
            let text = format!(
                "{} all lead to Curfew in namespace {}: it is asked by each of them",
                names.join(", "),
                facts.own
            );
            findings.push(Finding::fail(SUBJECT, text).mend(format!("keep {}, delete the others", names[0])));
        }
    }
    for other in all.iter().filter(|one| known::is_curfew(one) && !known::is_ours(one, &facts.own)) {
        let to = known::hooks(other).iter().find_map(|hook| hook.client_config.service.as_ref());
        let to = to.map_or("elsewhere".to_owned(), |service| format!("namespace {}", service.namespace));
        let text =
            format!("{} leads to a second Curfew, in {to}: both change the same pods", known::name(other));
        findings.push(Finding::fail(SUBJECT, text).mend("uninstall one of them"));
    }
    findings
}

/// What its webhooks say that would keep it from its work.
fn shape(
    name: &str,
    configuration: &k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration,
    own: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for hook in known::hooks(configuration).iter().filter(|hook| known::is_asked_of_pods(hook)) {
        let which = format!("{name}, {}", hook.name);
        if hook.failure_policy.as_deref() == Some("Ignore") {
            let text =
                format!("{which}: failurePolicy is Ignore, so pods made while nobody answers hang for ever");
            findings.push(Finding::note(SUBJECT, text).mend("Fail has their controllers try again"));
        }
        let excludes =
            hook.namespace_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
        let excludes = excludes.into_iter().any(|expression| {
            expression.key == "kubernetes.io/metadata.name"
                && expression.operator == "NotIn"
                && expression.values.iter().flatten().any(|value| value == own)
        });
        if !excludes {
            let text = format!(
                "{which}: its namespaceSelector lets in {own}, so that it is asked about its own pods"
            );
            findings.push(
                Finding::warn(SUBJECT, text)
                    .mend(format!("leave {own} out by kubernetes.io/metadata.name NotIn [{own}]")),
            );
        }
        if hook.match_conditions.iter().flatten().next().is_none() {
            let text = format!(
                "{which}: it has no matchConditions, so Deployments' pods of labelled namespaces wait for it, too"
            );
            findings.push(
                Finding::note(SUBJECT, text).mend("Kubernetes 1.28 and newer keep them: apply it again"),
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(SUBJECT, format!("{name} leads to Curfew in namespace {own}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{curfew, facts, running},
    };

    #[test]
    fn the_one_that_is_installed_is_well() {
        let found = check(&facts());
        assert_eq!(found.iter().map(|found| found.severity).collect::<Vec<_>>(), [Severity::Ok], "{found:?}");
    }

    #[test]
    fn none_or_another_in_a_second_namespace_fails() {
        let mut facts = facts();
        facts.configurations = Ok(vec![curfew("00-curfew", "curfew"), curfew("00-curfew-b", "other")]);
        let found = check(&facts);
        let second = found.iter().find(|found| found.severity == Severity::Fail).expect("a finding");
        assert!(
            second.finding.contains("00-curfew-b") && second.finding.contains("namespace other"),
            "{second:?}"
        );
        facts.configurations = Ok(vec![curfew("00-curfew", "curfew"), curfew("01-curfew", "curfew")]);
        assert!(check(&facts)[0].mend.as_ref().is_some_and(|mend| mend.contains("keep 00-curfew")));
        facts.configurations = Ok(vec![]);
        assert_eq!(check(&facts)[0].severity, Severity::Fail);
        facts.deployments = Ok(vec![running("curfew", &["serve", "--no-webhook"])]);
        let found = check(&facts);
        assert!(found.len() == 1 && found[0].severity == Severity::Note, "{found:?}");
        facts.configurations = Err(Unseen("x".to_owned()));
        assert!(!check(&facts)[0].seen);
    }

    #[test]
    fn one_that_is_asked_about_its_own_pods_or_ignores_failures_is_told() {
        let mut facts = facts();
        let mut bent = curfew("00-curfew", "curfew");
        for hook in bent.webhooks.iter_mut().flatten() {
            (hook.failure_policy, hook.namespace_selector, hook.match_conditions) =
                (Some("Ignore".to_owned()), None, None);
        }
        facts.configurations = Ok(vec![bent]);
        let told: Vec<_> = check(&facts).into_iter().map(|found| (found.severity, found.finding)).collect();
        for (severity, word) in
            [(Severity::Note, "Ignore"), (Severity::Warn, "own pods"), (Severity::Note, "matchConditions")]
        {
            assert!(
                told.iter().any(|(how, text)| *how == severity && text.contains(word)),
                "{word}: {told:?}"
            );
        }
    }
}
