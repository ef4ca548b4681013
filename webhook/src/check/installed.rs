//! Curfew's Deployment: there, once, ready, and with a behaviour it starts with.

use super::{Facts, Finding, settings};

const SUBJECT: &str = "deployment";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let all = match &facts.deployments {
        Ok(all) => all,
        Err(why) => return vec![Finding::unseen(SUBJECT, "Curfew's Deployment", why)],
    };
    let own = &facts.own;
    let mut findings = Vec::new();
    match facts.deployment() {
        None => findings.push(
            Finding::fail(SUBJECT, format!("namespace {own} has no Deployment of Curfew"))
                .mend("install it, or name its namespace with --namespace"),
        ),
        Some(deployment) => {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let ready =
                deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            let text = format!("{own}/{name}: {ready} of {wanted} replicas are ready");
            let look = format!("kubectl -n {own} describe pods; kubectl -n {own} logs deploy/{name}");
            let two = format!("kubectl -n {own} scale deploy {name} --replicas 2");
            findings.push(match ready {
                _ if wanted == 0 => Finding::fail(SUBJECT, text).mend(two),
                0 => Finding::fail(SUBJECT, text).mend(look),
                _ if ready < wanted => Finding::warn(SUBJECT, text).mend(look),
                1 => Finding::note(SUBJECT, text + ": while it moves, labelled pods are not made").mend(two),
                _ => Finding::ok(SUBJECT, text),
            });
        }
    }
    for other in all.iter().filter(|one| one.metadata.namespace.as_deref() != Some(own)) {
        let (namespace, name) = (&other.metadata.namespace, &other.metadata.name);
        let [namespace, name] = [namespace, name].map(|part| part.as_deref().unwrap_or_default());
        let text = format!("{namespace}/{name} is a second Curfew: both watch the same pods");
        findings.push(Finding::warn(SUBJECT, text).mend("uninstall one of them"));
    }
    match (settings::read(facts), &facts.config) {
        (Err(why), _) => {
            let text = format!("replicas do not start with their configuration: {why}");
            findings.push(
                Finding::fail(SUBJECT, text).mend("correct it, then restart them: it is read at start"),
            );
        }
        (_, Err(why)) => {
            findings.push(Finding::unseen(SUBJECT, "its configuration; defaults are taken for it", why))
        }
        _ => {}
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{deployment, facts},
    };

    fn with(namespaces: &[(&str, i32)]) -> Vec<(Severity, String)> {
        let mut facts = facts();
        facts.deployments =
            Ok(namespaces.iter().map(|(namespace, ready)| deployment(namespace, *ready)).collect());
        check(&facts).into_iter().map(|found| (found.severity, found.finding)).collect()
    }

    #[test]
    fn it_must_be_there_and_ready() {
        for (ready, severity) in [(2, Severity::Ok), (1, Severity::Warn), (0, Severity::Fail)] {
            let found = with(&[("curfew", ready)]);
            assert!(found[0].0 == severity && found[0].1.contains(&format!("{ready} of 2")), "{found:?}");
        }
        assert_eq!(with(&[])[0].0, Severity::Fail);
    }

    #[test]
    fn one_that_is_scaled_to_none_is_told_how_to_come_back() {
        let mut facts = facts();
        facts.deployments.as_mut().expect("seen")[0].spec.as_mut().expect("a spec").replicas = Some(0);
        let found = check(&facts).remove(0);
        assert!(
            found.severity == Severity::Fail && found.mend.is_some_and(|mend| mend.contains("--replicas 2"))
        );
    }

    #[test]
    fn a_second_one_is_named() {
        let found = with(&[("curfew", 2), ("other", 2)]);
        assert!(found[1].0 == Severity::Warn && found[1].1.contains("other/curfew"), "{found:?}");
    }

    #[test]
    fn a_behaviour_that_does_not_hold_is_told_with_its_place() {
        let mut facts = facts();
        let data = BTreeMap::from([("config.yaml".to_owned(), "defaults: {strategy: soon}".to_owned())]);
        facts.config.as_mut().expect("seen").as_mut().expect("there").data = Some(data);
        let found = check(&facts).remove(1);
        assert!(
            found.severity == Severity::Fail && found.finding.contains("ConfigMap curfew, config.yaml"),
            "{found:?}"
        );
        facts.config = Err(Unseen("you may not".to_owned()));
        assert!(!check(&facts)[1].seen);
    }
}
