//! Whether Curfew may go: which pods still count on it.

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod};
use kube::{Api, Client, api::ListParams};

use super::{Finding, Seen, gather::list, known};
use crate::plan::{APPLIED_LABEL, REAPER_LABEL};

const SUBJECT: &str = "uninstall";

/// Pods with a reaper that are not over.
pub async fn carrying(client: &Client) -> Seen<Vec<Pod>> {
    let parameters = ListParams::default()
        .labels(&format!("{REAPER_LABEL}=true"))
        .fields("status.phase!=Succeeded,status.phase!=Failed");
    list(Api::all(client.clone()), &parameters, "list pods", None).await
}

/// What keeps Curfew from being uninstalled.
pub fn uninstall(
    pods: &Seen<Vec<Pod>>,
    configurations: &Seen<Vec<MutatingWebhookConfiguration>>,
    own: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut asked = false;
    match configurations {
        Ok(all) => {
            for one in all.iter().filter(|one| known::is_ours(one, own)) {
                asked = true;
                let text = format!(
                    "{} is still there: new pods get reapers, and none is made once nobody answers",
                    known::name(one)
                );
                let mend = format!(
                    "take it away first: kubectl delete mutatingwebhookconfiguration {}",
                    known::name(one)
                );
                findings.push(Finding::warn(SUBJECT, text).mend(mend));
            }
        }
        Err(why) => findings.push(Finding::unseen(SUBJECT, "mutating webhook configurations", why)),
    }
    let pods = match pods {
        Ok(pods) => pods,
        Err(why) => {
            findings.push(Finding::unseen(SUBJECT, "pods that carry a reaper", why));
            return findings;
        }
    };
    let mut waits = false;
    for pod in pods {
        let label =
            pod.metadata.labels.as_ref().and_then(|labels| labels.get(APPLIED_LABEL)).map(String::as_str);
        let [namespace, name] =
            [&pod.metadata.namespace, &pod.metadata.name].map(|part| part.as_deref().unwrap_or_default());
        let mend =
            format!("wait for its end; should it then hang: curfew rescue -n {namespace} {name} --yes");
        findings.push(match label {
            Some("await") => {
                let text = format!("{namespace}/{name} has a reaper as its net: without the watch it hangs should its wrapper be killed");
                Finding::note(SUBJECT, text).mend(mend)
            }
            _ => {
                waits = true;
                let text = format!("{namespace}/{name} is ended by its reaper: without the watch it hangs");
                Finding::fail(SUBJECT, text).mend(mend)
            }
        });
    }
    if !waits && !asked && configurations.is_ok() {
        findings.push(Finding::ok(
            SUBJECT,
            "no pod waits for Curfew's watch, and no more will: it is safe to uninstall",
        ));
    } else if !waits {
        findings.push(Finding::ok(SUBJECT, "no pod waits for Curfew's watch now"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::{Severity, Unseen, tests::curfew};

    fn pod(name: &str, applied: &str) -> Pod {
        let metadata = json!({"namespace": "load", "name": name, "labels": {"curfew.dev/applied": applied}});
        serde_json::from_value(json!({"metadata": metadata})).expect("a pod")
    }

    #[test]
    fn it_is_safe_once_nobody_is_asked_and_no_pod_waits() {
        let found = uninstall(&Ok(vec![]), &Ok(vec![]), "curfew");
        assert!(found.len() == 1 && found[0].finding.contains("safe to uninstall"), "{found:?}");
        let found = uninstall(&Ok(vec![]), &Ok(vec![curfew("00-curfew", "curfew")]), "curfew");
        assert!(found[0].severity == Severity::Warn && !found[1].finding.contains("safe"), "{found:?}");
        assert!(found[0].mend.as_ref().is_some_and(|mend| mend.ends_with("00-curfew")));
    }

    #[test]
    fn pods_that_its_watch_ends_are_named_and_nets_noted() {
        let found = uninstall(&Ok(vec![pod("a", "reaper"), pod("b", "await")]), &Ok(vec![]), "curfew");
        assert_eq!(
            found.iter().map(|found| found.severity).collect::<Vec<_>>(),
            [Severity::Fail, Severity::Note]
        );
        assert!(found[0].finding.contains("load/a") && found[1].finding.contains("load/b"), "{found:?}");
    }

    #[test]
    fn what_was_not_seen_is_never_safe() {
        let unseen = || Unseen("you may not".to_owned());
        for found in [
            uninstall(&Err(unseen()), &Ok(vec![]), "curfew"),
            uninstall(&Ok(vec![]), &Err(unseen()), "curfew"),
        ] {
            assert!(!found.iter().any(|found| found.finding.contains("safe")), "{found:?}");
            assert!(found.iter().any(|found| !found.seen), "{found:?}");
        }
    }
}
