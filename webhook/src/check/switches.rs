//! Which meshes are installed, and whether they know the switches that Curfew sets.

use super::{
    Facts, Finding,
    known::{self, MESHES, Mesh},
};
use crate::catalogue::{Catalogue, repository};

const SUBJECT: &str = "switches";

/// What an image's tag says of a mesh's release.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Release {
    number: (u32, u32),
    /// It is numbered by its date.
    edge: bool,
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    // That they were not seen is said by the configuration's check.
    let all = facts.configurations.as_deref().unwrap_or_default();
    let Ok(catalogue) = Catalogue::embedded() else { return Vec::new() };
    let mut findings = Vec::new();
    for mesh in &MESHES {
        let injector = all.iter().find(|one| known::mesh(one).is_some_and(|found| found.row == mesh.row));
        if injector.is_none() {
            continue;
        }
        let row = catalogue.sidecars.iter().find(|row| row.name == mesh.row);
        let switch: Vec<_> = row.iter().flat_map(|row| row.switch.keys().map(String::as_str)).collect();
        findings.push(match &facts.injectors {
            Ok(_) => judged(mesh, release(facts, mesh), &switch),
            Err(why) => Finding::unseen(SUBJECT, &format!("the version of {}", mesh.title), why),
        });
    }
    findings
}

/// What a mesh of this release does with its switch.
fn judged(mesh: &Mesh, release: Option<(String, Release)>, switch: &[&str]) -> Finding {
    let Mesh { title, native, .. } = mesh;
    let Some((tag, release)) = release else {
        let text = format!("{title} is installed, in a version that no image tells; {}", set(switch));
        return Finding { seen: false, ..Finding::note(SUBJECT, text) };
    };
    let knows = |since: Option<(u32, u32)>, edge: usize| match (release.edge, native.edge) {
        (true, Some(edges)) => release.number >= edges[edge],
        (true, None) => false,
        (false, _) => since.is_some_and(|since| release.number >= since),
    };
    if knows(native.unasked, 1) {
        let unless = if *title == "Istio" { ", where every kubelet is 1.33 or newer" } else { "" };
        return Finding::ok(
            SUBJECT,
            format!("{title} {tag} injects native sidecars by itself{unless}; {}", set(switch)),
        );
    }
    if knows(native.switch, 0) {
        return Finding::ok(
            SUBJECT,
            format!("{title} {tag} knows its switch for native sidecars; {}", set(switch)),
        );
    }
    let text = format!(
        "{title} {tag} has no switch for native sidecars: Curfew makes them native itself, or wraps commands"
    );
    Finding::note(SUBJECT, text)
}

fn set(switch: &[&str]) -> String {
    match switch {
        [] => "Curfew sets nothing for it".to_owned(),
        switch => format!("Curfew sets {}", switch.join(", ")),
    }
}

/// Tag and release of a mesh's control plane.
fn release(facts: &Facts, mesh: &Mesh) -> Option<(String, Release)> {
    let deployments = facts.injectors.as_deref().unwrap_or_default().iter();
    let specs = deployments.filter_map(|one| one.spec.as_ref()?.template.spec.as_ref());
    let images = specs.flat_map(|spec| &spec.containers).filter_map(|container| container.image.as_deref());
    images.into_iter().find_map(|image| {
        let repository = repository(image);
        let last = repository.rsplit('/').next()?;
        let tag = image[repository.len()..].split('@').next()?.strip_prefix(':')?;
        mesh.image.contains(&last).then(|| Some((tag.to_owned(), Release::read(tag)?)))?
    })
}

impl Release {
    /// `1.30.3-distroless`, `v1.18.3`, `stable-2.14.10`, `edge-26.8.3`.
    fn read(tag: &str) -> Option<Self> {
        let first = tag.find(|c: char| c.is_ascii_digit())?;
        let (prefix, rest) = tag.split_at(first);
        let mut numbers = rest.split(['.', '-', '+']).map(str::parse);
        let number = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self { number, edge: prefix == "edge-" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::{
        Severity, Unseen,
        tests::{configuration, facts},
    };

    fn with(injector: &str, image: &str) -> Finding {
        let mut facts = facts();
        facts.configurations = Ok(vec![configuration(injector, "Never")]);
        let deployment = json!({"spec": {"selector": {}, "template": {"spec": {"containers": [
            {"name": "other", "image": "r.example/other:9.9"}, {"name": "one", "image": image}]}}}});
        facts.injectors = Ok(vec![serde_json::from_value(deployment).expect("a Deployment")]);
        check(&facts).remove(0)
    }

    #[test]
    fn each_mesh_is_told_by_its_release() {
        let linkerd = "linkerd-proxy-injector-webhook-config";
        for (injector, image, words) in [
            (
                linkerd,
                "cr.l5d.io/linkerd/controller:edge-26.8.3",
                "edge-26.8.3 injects native sidecars by itself",
            ),
            (linkerd, "cr.l5d.io/linkerd/controller:edge-24.1.1", "knows its switch"),
            (linkerd, "cr.l5d.io/linkerd/controller:stable-2.14.10", "has no switch"),
            (
                "istio-sidecar-injector",
                "r.example:5000/istio/pilot:1.30.3-distroless@sha256:00",
                "where every kubelet is 1.33",
            ),
            ("istio-revision-tag-default", "istio/pilot:1.24.0", "knows its switch"),
            ("dapr-sidecar-injector", "daprio/injector:1.14.0", "has no switch"),
            (
                "kuma-admission-mutating-webhook-configuration",
                "kumahq/kuma-cp:2.14.3",
                "by itself; Curfew sets nothing",
            ),
        ] {
            let found = with(injector, image);
            assert!(found.seen && found.finding.contains(words), "{image}: {found:?}");
        }
    }

    #[test]
    fn a_release_nobody_tells_is_not_guessed() {
        let digest = with("istio-sidecar-injector", "istio/pilot@sha256:00");
        assert!(!digest.seen && digest.finding.contains("sidecar.istio.io/nativeSidecar"), "{digest:?}");
        assert!(!with("istio-sidecar-injector", "istio/pilot:latest").seen);
        let mut facts = facts();
        facts.configurations = Ok(vec![configuration("istio-sidecar-injector", "Never")]);
        facts.injectors = Err(Unseen("you may not".to_owned()));
        let found = check(&facts).remove(0);
        assert!(!found.seen && found.severity == Severity::Note, "{found:?}");
    }
}
