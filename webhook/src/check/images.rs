//! The image that is brought into pods: whether nodes have it, or pods wait for it.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{Facts, Finding, settings};
use crate::plan::{GATE, INSTALLER, REAPER_CONTAINER};

const SUBJECT: &str = "images";
/// Why a container waits that has no image.
const NOT_PULLED: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let settings = settings::of(facts).unwrap_or_default();
    let image = &settings.reaper.image;
    let mut findings = Vec::new();
    match &facts.pods {
        Err(why) => findings.push(Finding::unseen(SUBJECT, "whether pods wait for Curfew's image", why)),
        Ok(pods) => findings.extend(waiting(pods)),
    }
    match &settings.reaper.image_pull_secrets[..] {
        [] => findings.extend(only_of_curfew(facts, image)),
        added => findings.extend(added_to_pods(facts, image, added)),
    }
    if let Ok(nodes) = &facts.nodes {
        let has = |names: &[String]| {
            names.iter().any(|name| name == image || name.strip_prefix("docker.io/") == Some(image))
        };
        let with = nodes
            .iter()
            .filter(|node| {
                node.status
                    .iter()
                    .flat_map(|status| status.images.iter().flatten())
                    .any(|one| has(one.names.as_deref().unwrap_or_default()))
            })
            .count();
        findings.push(match with {
            0 => Finding::note(SUBJECT, format!("no node tells that it has {image} yet: whether it can be pulled shows with the first pod that needs it")),
            _ => Finding::ok(SUBJECT, format!("{with} of {} nodes have {image}", nodes.len())),
        });
    }
    findings
}

/// Secrets that Curfew's own pods pull with, where no other pod is given any.
fn only_of_curfew(facts: &Facts, image: &str) -> Option<Finding> {
    let spec = facts.deployment()?.spec.as_ref()?.template.spec.as_ref()?;
    let secrets: Vec<_> = spec.image_pull_secrets.iter().flatten().map(|one| one.name.as_str()).collect();
    let text = format!(
        "Curfew's own pods pull with {}; pods that {image} is brought into pull with their own imagePullSecrets",
        secrets.join(", ")
    );
    let mend = "have them added to those pods by reaper.imagePullSecrets (the chart's injectedImagePullSecrets), or mirror \
                the image where all may pull";
    (!secrets.is_empty()).then(|| Finding::note(SUBJECT, text).mend(mend))
}

/// Secrets that are added to pods: each of their namespaces has to hold them.
fn added_to_pods(facts: &Facts, image: &str, added: &[String]) -> Vec<Finding> {
    let names = added.join(", ");
    let given = format!("pods that {image} is brought into are given the pull secrets {names}");
    if facts.pull_secrets.is_empty() {
        return vec![Finding::note(SUBJECT, given + ", which each of their namespaces has to hold")];
    }
    let mut findings = Vec::new();
    for name in added {
        let lacks = facts.pull_secrets.iter().filter(|((_, of), held)| of == name && **held == Ok(false));
        let lacks: Vec<_> = lacks.map(|((namespace, _), _)| namespace.as_str()).collect();
        if let [first, ..] = lacks[..] {
            let text = format!(
                "{} have no Secret {name}, which pods there are given to pull {image}",
                lacks.join(", ")
            );
            let mend = format!("make it in each: kubectl -n {first} create secret docker-registry {name} …");
            findings.push(Finding::warn(SUBJECT, text).mend(mend));
        }
    }
    let unseen = facts.pull_secrets.iter().find_map(|(_, held)| held.as_ref().err());
    if let Some(why) = unseen {
        let what = format!("whether all namespaces that opted in hold the pull secrets {names}");
        findings.push(Finding::unseen(SUBJECT, &what, why));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(SUBJECT, given + ", which all namespaces that opted in hold"));
    }
    findings
}

/// Pods that wait for an image of Curfew's, told once for each reason.
fn waiting(pods: &[Pod]) -> Option<Finding> {
    let stuck: Vec<_> = pods.iter().filter_map(|pod| Some((pod, stuck(pod)?))).collect();
    let (first, status) = stuck.first()?;
    let name = |part: &Option<String>| part.clone().unwrap_or_default();
    let why = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let why = why.map(|why| format!("{}: {}", name(&why.reason), name(&why.message))).unwrap_or_default();
    let text = format!(
        "{} pods wait for {}, as {}/{}: {why}",
        stuck.len(),
        status.image,
        name(&first.metadata.namespace),
        name(&first.metadata.name),
    );
    Some(Finding::fail(SUBJECT, text).mend("set reaper.image to one those nodes can pull, and see to their imagePullSecrets and to reaper.imagePullSecrets; then delete these pods"))
}

fn stuck(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all =
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    all.into_iter().find(|one| {
        let reason = one.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref());
        [INSTALLER, GATE, REAPER_CONTAINER].contains(&one.name.as_str())
            && reason.is_some_and(|reason| NOT_PULLED.contains(&reason))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::{
        Seen, Severity, Unseen,
        tests::{configured, facts},
    };

    fn waits(container: &str, reason: &str) -> Pod {
        let state = json!({"waiting": {"reason": reason, "message": "no such image"}});
        let status = json!({"name": container, "image": "r.example/curfew-reaper:1", "imageID": "", "ready": false,
            "restartCount": 0, "state": state});
        let pod: Value = json!({"metadata": {"namespace": "load", "name": "a"}, "status": {"initContainerStatuses": [status]}});
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn pods_that_wait_for_it_are_counted_and_the_kubelets_words_kept() {
        let mut facts = facts();
        facts.pods = Ok(vec![
            waits(INSTALLER, "ImagePullBackOff"),
            waits(GATE, "ErrImagePull"),
            waits("mine", "ErrImagePull"),
        ]);
        let found = check(&facts).remove(0);
        assert_eq!(found.severity, Severity::Fail);
        assert_eq!(
            found.finding,
            "2 pods wait for r.example/curfew-reaper:1, as load/a: ImagePullBackOff: no such image"
        );
        facts.pods = Ok(vec![waits(INSTALLER, "PodInitializing"), waits("mine", "ErrImagePull")]);
        assert!(check(&facts).iter().all(|found| found.severity < Severity::Fail));
    }

    #[test]
    fn nodes_that_have_it_are_counted() {
        let found = check(&facts());
        assert!(
            found[0].severity == Severity::Ok && found[0].finding.starts_with("1 of 1 nodes"),
            "{found:?}"
        );
        let mut bare = facts();
        bare.nodes
            .iter_mut()
            .flatten()
            .for_each(|node| node.status.as_mut().expect("a status").images = None);
        assert_eq!(check(&bare)[0].severity, Severity::Note);
    }

    #[test]
    fn secrets_of_curfews_own_pods_do_not_serve_others() {
        let mut facts = facts();
        let spec = facts.deployments.as_mut().expect("seen")[0].spec.as_mut().expect("a spec");
        spec.template.spec.as_mut().expect("a spec").image_pull_secrets =
            serde_json::from_value(json!([{"name": "mirror"}])).expect("names");
        let found = check(&facts).remove(0);
        assert!(found.severity == Severity::Note && found.finding.contains("pull with mirror"), "{found:?}");
    }

    /// What is said of pull secrets where `load` and `batch` hold `mirror` or not.
    fn added(load: Seen<bool>, batch: Seen<bool>) -> Vec<Finding> {
        let mut facts = configured("reaper: {imagePullSecrets: [mirror]}");
        let of = |namespace: &str| (namespace.to_owned(), "mirror".to_owned());
        facts.pull_secrets = [(of("load"), load), (of("batch"), batch)].into();
        let findings = check(&facts).into_iter();
        findings.filter(|finding| finding.finding.contains("mirror")).collect()
    }

    #[test]
    fn a_secret_that_is_added_to_pods_must_be_in_each_of_their_namespaces() {
        let held = added(Ok(true), Ok(true));
        assert!(held.len() == 1 && held[0].severity == Severity::Ok, "{held:?}");
        let lacks = added(Ok(false), Ok(false));
        assert!(
            lacks.len() == 1 && lacks[0].finding.starts_with("batch, load have no Secret mirror"),
            "{lacks:?}"
        );
        assert!(lacks[0].severity == Severity::Warn && lacks[0].mend.is_some(), "{lacks:?}");
        let facts = configured("reaper: {imagePullSecrets: [mirror]}");
        assert!(check(&facts)[0].finding.contains("has to hold"), "{:?}", check(&facts));
    }

    #[test]
    fn where_secrets_may_not_be_read_that_is_said_once() {
        let no = || Err(Unseen("you need the right to get secrets in namespace load".to_owned()));
        let found = added(no(), no());
        assert!(found.len() == 1 && !found[0].seen, "{found:?}");
        let found = added(no(), Ok(false));
        assert!(found.len() == 2 && found[0].severity == Severity::Warn && !found[1].seen, "{found:?}");
    }
}
