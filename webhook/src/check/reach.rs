//! Whether the API server reaches Curfew, by a pod that is not really made.

use super::{Facts, Finding, Probe, known, probe, settings};
use crate::{
    admission::{Engine, Outcome, Surroundings},
    config::Config,
    plan::{INJECT_LABEL, Kubelets, Namespace},
};

const SUBJECT: &str = "webhook";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    // The configuration's check says so.
    if settings::is_watch_alone(facts) {
        return Vec::new();
    }
    if facts.probes.is_empty() {
        return vec![untried()];
    }
    let mut answered = Vec::new();
    let mut findings = Vec::new();
    for (namespace, probe) in &facts.probes {
        match probe {
            Probe::Made(_) if probe.status().is_some() => answered.push(namespace.as_str()),
            Probe::Made(_) => findings.push(unpatched(facts, namespace)),
            Probe::Refused(message) => findings.push(refused(facts, namespace, message)),
            Probe::Unseen(why) => {
                findings.push(Finding::unseen(SUBJECT, &format!("pods of {namespace}, by a dry run"), why));
            }
        }
    }
    if !answered.is_empty() {
        let text =
            format!("the API server asks Curfew about pods of {}, and it answers", answered.join(", "));
        findings.push(Finding::ok(SUBJECT, text));
    }
    findings
}

/// No namespace opted in, and one's own is Curfew's, or is left out.
fn untried() -> Finding {
    let text = "whether the API server reaches Curfew: not looked at, without a namespace to try a pod in";
    let mend = format!(
        "kubectl label --overwrite namespace NAME {INJECT_LABEL}=enabled, or have your context name a namespace that does \
         not opt out: kubectl config set-context --current --namespace NAME"
    );
    Finding { seen: false, ..Finding::note(SUBJECT, text).mend(mend) }
}

fn unpatched(facts: &Facts, namespace: &str) -> Finding {
    if let Some(why) = left_alone(facts, namespace) {
        let text = format!(
            "pods of {namespace} are left as they come, as {why}: whether Curfew is asked about them is not seen"
        );
        return Finding { seen: false, ..Finding::note(SUBJECT, text) };
    }
    let finding =
        Finding::fail(SUBJECT, format!("a pod of {namespace} comes back without Curfew having been asked"));
    let ignores =
        facts.ours().flat_map(known::hooks).any(|hook| hook.failure_policy.as_deref() == Some("Ignore"));
    finding.mend(if ignores {
        "failurePolicy is Ignore, which hides calls that fail: look for `failed calling webhook` in the API server's log"
            .to_owned()
    } else {
        "see that the webhook configuration is there and its namespaceSelector lets the namespace in".to_owned()
    })
}

/// Why Curfew does nothing to this check's pod there, asked or not, if that is what it was told.
fn left_alone(facts: &Facts, namespace: &str) -> Option<&'static str> {
    let config = settings::read(facts).ok().flatten().or_else(|| Config::builtin().ok())?;
    let mut known = facts.namespaces.iter().flatten();
    let found = known.find(|one| one.metadata.name.as_deref() == Some(namespace));
    let annotations = found.and_then(|one| one.metadata.annotations.clone()).unwrap_or_default();
    let around = Surroundings {
        namespace: &Namespace { annotations, ..Namespace::default() },
        kubelets: &Kubelets::default(),
        watch: false,
    };
    match Engine::new(config).decide(probe::pod(), None, around, None) {
        Outcome::Untouched(why) => Some(why),
        Outcome::Planned { .. } | Outcome::Failed(_) => None,
    }
}

/// What the API server's words mean.
fn refused(facts: &Facts, namespace: &str, message: &str) -> Finding {
    let own = &facts.own;
    let logs = format!("kubectl -n {own} logs deploy/curfew");
    if message.contains("failed calling webhook") {
        if !message.contains(".curfew.dev\"") {
            let text = format!("pods of {namespace} are refused, as another's webhook fails: {message}");
            return Finding::warn(SUBJECT, text).mend("mend that one: no pod is made there until it answers");
        }
        let (why, mend) = why(facts, message);
        let mend = mend.unwrap_or_else(|| format!("see why: {logs}"));
        return Finding::fail(
            SUBJECT,
            format!("the API server asks Curfew about pods of {namespace}, and {why}: {message}"),
        )
        .mend(mend);
    }
    if message.contains("without restartPolicy=Always") {
        // The hooks' check names the culprit.
        return Finding::note(SUBJECT, format!("a pod of {namespace} is refused for what a hook did to it"));
    }
    Finding {
        seen: false,
        ..Finding::note(
            SUBJECT,
            format!(
                "pods of {namespace}: not looked at, as the pod of this check is refused there: {message}"
            ),
        )
    }
}

/// In a few words, and what mends it, by what Go's HTTP client and the API server's service resolver say.
fn why(facts: &Facts, message: &str) -> (&'static str, Option<String>) {
    let own = &facts.own;
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["no endpoints available", "no service port"]) {
        let mend =
            format!("no replica is ready: kubectl -n {own} get pods, and kubectl -n {own} describe pods");
        ("no replica is there to answer", Some(mend))
    } else if says(&["x509", "tls:", "certificate"]) {
        ("does not trust its certificate", Some("see what is said of the certificate here".to_owned()))
    } else if says(&["not found"]) {
        ("its Service is not there", Some("install it again: the Service `curfew` is part of it".to_owned()))
    } else if says(&["deadline exceeded", "i/o timeout", "Client.Timeout", "no route to host"]) {
        let port = facts.deployment().and_then(settings::port);
        let mend = format!(
            "let the control plane reach port {} of Curfew's pods: a firewall rule on private clusters, hostNetwork where \
             the control plane has no route to the pods' network, a NetworkPolicy of yours",
            port.as_deref().unwrap_or("9443")
        );
        ("gets no answer in time", Some(mend))
    } else if says(&["connection refused", "connection reset", "EOF"]) {
        ("nobody listens there", Some(format!("see that its pods run: kubectl -n {own} get pods")))
    } else {
        ("gets no answer it can use", None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{configured, facts, namespace, running},
    };
    use serde_json::json;

    fn of(probe: Probe) -> Finding {
        let mut facts = facts();
        facts.probes = [("load".to_owned(), probe)].into();
        check(&facts).remove(0)
    }

    fn fails_with(cause: &str) -> Finding {
        let message = format!(
            "Internal error occurred: failed calling webhook \"namespaces.curfew.dev\": failed to call webhook: {cause}"
        );
        of(Probe::Refused(message))
    }

    #[test]
    fn an_answer_is_seen_by_what_it_left_on_the_pod() {
        let made = |annotations| Probe::Made(Box::new(json!({"metadata": {"annotations": annotations}})));
        let status = json!({"strategy": "native"}).to_string();
        assert_eq!(of(made(json!({"curfew.dev/status": status}))).severity, Severity::Ok);
        let without = of(made(json!({})));
        assert!(
            without.severity == Severity::Fail && without.finding.contains("without Curfew"),
            "{without:?}"
        );
    }

    #[test]
    fn a_pod_that_curfew_was_told_to_leave_alone_fails_nothing() {
        let made = || [("load".to_owned(), Probe::Made(Box::new(json!({"metadata": {}}))))].into();
        let (by_default, mut by_annotation) = (configured("defaults: {strategy: off}"), facts());
        let annotation =
            |value: &str| Ok(vec![namespace("load", json!({}), json!({"curfew.dev/strategy": value}))]);
        by_annotation.namespaces = annotation("off");
        for mut facts in [by_default, by_annotation] {
            facts.probes = made();
            let found = check(&facts).remove(0);
            assert!(found.severity == Severity::Note && !found.seen, "{found:?}");
            assert!(found.finding.contains("as curfew.dev/strategy is off"), "{found:?}");
        }
        let mut overruled = configured("defaults: {strategy: off}");
        (overruled.namespaces, overruled.probes) = (annotation("auto"), made());
        assert_eq!(check(&overruled)[0].severity, Severity::Fail);
    }

    #[test]
    fn each_way_a_call_fails_has_a_mend_of_its_own() {
        for (cause, mend) in [
            (
                "Post \"https://curfew.curfew.svc:443/mutate?timeout=5s\": no endpoints available for service \"curfew\"",
                "no replica is ready",
            ),
            (
                "Post \"…\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "certificate",
            ),
            ("Post \"…\": context deadline exceeded", "port 9443"),
            ("Post \"…\": dial tcp 10.0.0.1:9443: connect: connection refused", "its pods run"),
            ("Post \"…\": service \"curfew\" not found", "install it again"),
            ("something new", "logs deploy/curfew"),
        ] {
            let finding = fails_with(cause);
            assert_eq!(finding.severity, Severity::Fail, "{cause}");
            assert!(finding.mend.as_ref().is_some_and(|text| text.contains(mend)), "{finding:?}");
            assert!(finding.finding.contains(cause), "the server's own words are kept: {finding:?}");
        }
    }

    #[test]
    fn where_no_webhook_is_meant_to_be_none_is_missed() {
        let mut facts = facts();
        let made = Probe::Made(Box::new(json!({"metadata": {}})));
        facts.probes = [("load".to_owned(), made)].into();
        facts.deployments = Ok(vec![running("curfew", &["serve", "--no-webhook"])]);
        // One that is there all the same is meant.
        assert_eq!(check(&facts).len(), 1);
        facts.configurations = Ok(vec![]);
        assert!(check(&facts).is_empty());
        facts.probes.clear();
        assert!(check(&facts).is_empty());
    }

    #[test]
    fn without_a_namespace_to_try_a_pod_in_it_is_said_that_nothing_was_seen() {
        let found = check(&facts()).remove(0);
        assert!(found.severity == Severity::Note && !found.seen, "{found:?}");
        assert!(found.finding.contains("without a namespace to try a pod in"), "{found:?}");
        assert!(found.mend.is_some_and(|mend| mend.contains("curfew.dev/inject=enabled")));
    }

    #[test]
    fn the_port_to_be_reached_is_the_one_it_listens_on() {
        let mut facts = facts();
        facts.deployments = Ok(vec![running("curfew", &["serve", "--listen=0.0.0.0:10260"])]);
        let (_, mend) = why(&facts, "Post \"…\": context deadline exceeded");
        assert!(mend.as_ref().is_some_and(|mend| mend.contains("port 10260 of")), "{mend:?}");
    }

    #[test]
    fn anothers_webhook_that_fails_is_not_blamed_on_curfew() {
        let message = "Internal error occurred: failed calling webhook \"other.example\": EOF";
        let finding = of(Probe::Refused(message.to_owned()));
        assert!(finding.severity == Severity::Warn && finding.finding.contains("another's"), "{finding:?}");
    }

    #[test]
    fn a_pod_that_may_not_be_tried_or_is_refused_for_itself_says_nothing_of_curfew() {
        let refused = of(Probe::Refused("pods \"x\" is forbidden: exceeded quota: q".to_owned()));
        let unseen = of(Probe::Unseen(Unseen("you need the right to create pods".to_owned())));
        for finding in [refused, unseen] {
            assert!(!finding.seen && finding.severity == Severity::Note, "{finding:?}");
        }
    }
}
