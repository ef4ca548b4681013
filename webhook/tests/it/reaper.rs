//! The reaper, wished for every pod of the corpus and for those that have it anyway: no command changes where it is
//! wished, the pod's QoS class stays, it quits what holds the pod and nothing else, and once is enough.

use std::collections::BTreeSet;

use curfew::{
    admission::{Engine, Outcome, Surroundings},
    plan::{Plan, REAPER, Strategy, Wish},
};
use serde_json::{Value, json};

use crate::{
    places::is_a_reaper,
    support::{Case, cases},
};

/// Every pod of the corpus on its cluster with a watch, with its plan and what comes out.
fn each(wish: Option<Wish>, at_least: usize, check: impl Fn(&Case, &Plan, &Value) -> Result<(), String>) {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases() {
        let engine = Engine::new(case.config());
        let around = Surroundings { watch: true, ..case.around() };
        let Outcome::Planned { plan, patched, .. } = engine.decide(case.pod.clone(), None, around, wish)
        else {
            continue;
        };
        count += usize::from(plan.edits.reaper.is_some());
        let again = match engine.decide(patched.clone(), None, around, wish) {
            Outcome::Planned { patch, .. } if patch.is_empty() => Ok(()),
            other => Err(format!("then {other:?}")),
        };
        let failure = again.and_then(|()| check(case, &plan, &patched)).err();
        failures.extend(failure.map(|error| format!("{}: {error}", case.name)));
    }
    assert!(count >= at_least, "only {count} pods of the corpus get a reaper");
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

fn words(container: &Value) -> Vec<&str> {
    container["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn values<'w>(words: &[&'w str], flag: &str) -> BTreeSet<&'w str> {
    words.windows(2).filter(|pair| pair[0].starts_with(flag)).map(|pair| pair[1]).collect()
}

fn is_loopback(url: &str) -> bool {
    ["http://127.0.0.1:", "http://[::1]:"].iter().any(|start| url.contains(start))
}

#[test]
fn a_pod_with_the_label_has_one_reaper_and_every_other_none() {
    each(None, 100, |_, plan, patched| {
        let reapers: Vec<_> = containers(patched).filter(|container| is_a_reaper(container)).collect();
        let wanted = plan.edits.reaper.is_some();
        let labelled = patched["metadata"]["labels"]["curfew.dev/reaper"] == "true";
        let volume = patched["spec"]["volumes"].as_array().into_iter().flatten().any(|volume| {
            let field = &volume["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"];
            volume["name"] == "curfew-done" && *field == "metadata.annotations['curfew.dev/done']"
        });
        (reapers.len() == usize::from(wanted) && labelled == wanted && (volume || !wanted))
            .then_some(())
            .ok_or_else(|| format!("{} reapers, label: {labelled}, volume: {volume}", reapers.len()))
    });
}

#[test]
fn it_quits_what_holds_the_pod_and_obeys_the_pods_own_word_alone() {
    each(None, 100, |_, plan, patched| {
        let Some(reaper) = containers(patched).find(|container| is_a_reaper(container)) else {
            return Ok(());
        };
        let command = words(reaper);
        let classic = plan.containers.values().filter(|role| role.starts_with("classic sidecar")).count();
        // Kuma's is ended by its own.
        let left = plan.containers.values().filter(|role| role.ends_with("sidecar kuma")).count();
        let urls = values(&command, "--shutdown");
        if urls.len() != classic - left || urls.iter().any(|url| !is_loopback(url)) {
            return Err(format!("{urls:?} for {:?}", plan.containers));
        }
        if values(&command, "--uid") != BTreeSet::from(["$(CURFEW_POD_UID)"]) {
            return Err(format!("obeys {command:?}"));
        }
        // Wrappers beside it tell it that nobody is left, and only they.
        let net = plan.strategy == Strategy::Await;
        let mains = plan.containers.values().filter(|role| *role == "main").count().to_string();
        let told = if net { BTreeSet::from([mains.as_str()]) } else { BTreeSet::new() };
        let of_wrappers = containers(patched).map(words).filter(|command| command.first() == Some(&REAPER));
        let agree = of_wrappers.into_iter().all(|wrapper| {
            let end = wrapper.iter().position(|word| *word == "--").unwrap_or(wrapper.len());
            let own = &wrapper[..end];
            values(own, "--mains") == told && values(own, "--shutdown").is_empty() != net
        });
        (values(&command, "--mains") == told && agree)
            .then_some(())
            .ok_or_else(|| format!("wrappers and reaper do not agree: {command:?}"))
    });
}

#[test]
fn wished_for_it_changes_no_container_but_to_open_an_endpoint() {
    each(Some(Wish::Reaper), 120, |case, plan, patched| {
        for (before, after) in containers(&case.pod).zip(containers(patched)) {
            if is_a_reaper(before) {
                break;
            }
            let wrapped = words(before).first() == Some(&REAPER);
            let unwrapped = words(after).first() != Some(&REAPER);
            let (mut before, mut after) = (before.clone(), after.clone());
            let members = if wrapped { &["env", "command"][..] } else { &["env"] };
            for pod in [&mut before, &mut after] {
                for member in members {
                    pod.as_object_mut().expect("a container").shift_remove(*member);
                }
            }
            if before != after || !unwrapped {
                return Err(format!("{} changed under {}", after["name"], plan.strategy.name()));
            }
        }
        Ok(())
    });
}

/// As the API server has it.
fn qos_class(pod: &Value) -> &'static str {
    let init = pod["spec"]["initContainers"].as_array().into_iter().flatten();
    let all: Vec<_> = containers(pod).chain(init).map(|container| &container["resources"]).collect();
    let of = |list: &str, name: &str, resources: &Value| resources[list].get(name).cloned();
    let any = all.iter().any(|resources| {
        let in_list = |list| ["cpu", "memory"].into_iter().any(|name| of(list, name, resources).is_some());
        in_list("requests") || in_list("limits")
    });
    let guaranteed = all.iter().all(|resources| {
        ["cpu", "memory"].into_iter().all(|name| {
            let (limit, request) = (of("limits", name, resources), of("requests", name, resources));
            limit.is_some() && request.is_none_or(|request| Some(request) == limit)
        })
    });
    match (any, guaranteed) {
        (_, true) => "Guaranteed",
        (true, false) => "Burstable",
        (false, false) => "BestEffort",
    }
}

#[test]
fn the_pods_qos_class_stays() {
    for wish in [None, Some(Wish::Reaper)] {
        each(wish, 100, |case, _, patched| {
            // Whoever sets resources for the reaper decides that.
            if case.config().settings.reaper.resources.is_some() {
                return Ok(());
            }
            let (before, after) = (qos_class(&case.pod), qos_class(patched));
            (before == after).then_some(()).ok_or_else(|| format!("{before} became {after}"))
        });
    }
}

#[test]
fn nobody_watching_nothing_of_it_is_left() {
    for case in cases() {
        let around = Surroundings { watch: false, ..case.around() };
        for wish in [None, Some(Wish::Reaper)] {
            let outcome = Engine::new(case.config()).decide(case.pod.clone(), None, around, wish);
            let Outcome::Planned { patched, plan, .. } = outcome else { continue };
            assert_ne!(plan.strategy, Strategy::Reaper, "{}", case.name);
            assert!(!containers(&patched).any(is_a_reaper), "{}", case.name);
            assert_eq!(patched["metadata"]["labels"].get("curfew.dev/reaper"), None, "{}", case.name);
            assert_eq!(json!(plan.edits.reaper), Value::Null, "{}", case.name);
        }
    }
}

#[test]
fn a_pod_whose_annotations_have_no_room_for_its_status_gets_no_reaper_that_nobody_would_tell() {
    /// What the API server takes, of keys and values.
    const LIMIT: usize = 256 * 1024;
    let mut losers = 0;
    for case in cases().iter().step_by(3) {
        let engine = Engine::new(case.config());
        let around = Surroundings { watch: true, ..case.around() };
        let decide = |pod: &Value| match engine.decide(pod.clone(), None, around, None) {
            Outcome::Planned { plan, patch, patched } => Some((plan, patch, patched)),
            _ => None,
        };
        let mut bare = case.pod.clone();
        for written in ["curfew.dev/status", "curfew.dev/done"] {
            bare["metadata"]["annotations"]
                .as_object_mut()
                .map(|annotations| annotations.shift_remove(written));
        }
        let Some((plan, ..)) = decide(&bare) else { continue };
        if plan.edits.reaper.is_none() {
            continue;
        }
        let size = |pod: &Value| -> usize {
            let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
            annotations.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
        };
        // With room for the mesh's annotations, and hardly any for more: not for the status, or not for the watch's word.
        let without_status = {
            let mut pod = bare.clone();
            for (key, value) in &plan.edits.annotations {
                pod["metadata"]["annotations"][key] = json!(value);
            }
            pod["metadata"]["annotations"]["curfew.dev/status"] = json!("");
            size(&pod)
        };
        for room in [0, plan.status().len(), plan.status().len() + 40] {
            let mut pod = bare.clone();
            let filler = "x".repeat(LIMIT - without_status - "filler".len() - room);
            pod["metadata"]["annotations"]["filler"] = json!(filler);
            let (plan, _, patched) = decide(&pod).expect("a plan");
            assert!(size(&patched) <= LIMIT, "{}: {} bytes", case.name, size(&patched));
            assert!(plan.edits.reaper.is_none(), "{}: {plan:?}", case.name);
            assert!(!containers(&patched).any(is_a_reaper), "{}: it has a reaper", case.name);
            assert!(patched["metadata"]["labels"]["curfew.dev/reaper"].is_null(), "{}", case.name);
            let warned = plan
                .warnings
                .iter()
                .any(|warning| warning.contains("no room") && warning.contains("256 KiB"));
            assert!(warned, "{}: {:?}", case.name, plan.warnings);
            let (_, again, _) = decide(&patched).expect("a plan");
            assert!(again.is_empty(), "{}: then {again:?}", case.name);
            losers += 1;
        }
        let mut pod = bare.clone();
        let filler = "x".repeat(LIMIT - without_status - "filler".len() - plan.status().len() - 60);
        pod["metadata"]["annotations"]["filler"] = json!(filler);
        let (plan, _, patched) = decide(&pod).expect("a plan");
        assert!(plan.edits.reaper.is_some(), "{}: there is room enough", case.name);
        assert!(size(&patched) <= LIMIT, "{}", case.name);
    }
    assert!(losers > 100, "only {losers}");
}
