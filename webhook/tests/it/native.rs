//! The strategy `native`, wished for every pod of the corpus and for pods that never were: a container that moves
//! keeps all that its row does not name, every other one stays as it is to the byte, and once is enough.

use curfew::{
    admission::{Engine, Outcome},
    plan::{GATE, Plan, TOKEN_VOLUME, Wish},
};
use serde_json::{Value, json};

use crate::{
    places::is_a_reaper,
    support::{cases, nowhere},
};

/// What a conversion may change in a container.
const OF_THE_ROW: [&str; 2] = ["restartPolicy", "lifecycle"];

/// What may be mended in a sidecar that is native.
const MENDED: [&str; 2] = ["restartPolicy", "startupProbe"];

/// Every pod that comes to be converted or gated, with its plan and what comes out.
fn each(mut check: impl FnMut(&Value, &Plan, &Value) -> Result<(), String>) {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases() {
        let engine = Engine::new(case.config());
        let outcome = engine.decide(case.pod.clone(), None, case.around(), Some(Wish::Native));
        let Outcome::Planned { plan, patched, .. } = outcome else { continue };
        if plan.edits.native.is_some() {
            count += 1;
            let failure = check(&case.pod, &plan, &patched).err();
            failures.extend(failure.map(|error| format!("{}: {error}", case.name)));
        }
    }
    assert!(count >= 60, "only {count} pods of the corpus are converted");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn containers<'p>(pod: &'p Value, list: &str) -> impl Iterator<Item = (&'p str, &'p Value)> {
    let list = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|container| (container["name"].as_str().expect("a name"), container))
}

fn converted(plan: &Plan) -> Vec<&str> {
    let native = plan.edits.native.as_ref().expect("a conversion");
    let sidecars = native.moves.iter().filter(|moved| moved.conversion.is_some());
    sidecars.map(|moved| moved.container.as_str()).collect()
}

/// A container as text without what may change in it.
fn without(container: &Value, members: &[&str]) -> String {
    let mut container = container.clone();
    for member in members {
        container.as_object_mut().expect("a container").shift_remove(*member);
    }
    container.to_string()
}

/// The gate waits for what this probe asks.
fn gate_asks(patched: &Value, probe: &Value) -> bool {
    let path = probe["httpGet"]["path"].as_str().unwrap_or("none");
    containers(patched, "initContainers").any(|(name, gate)| {
        let mut words = gate["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
        name == GATE && words.any(|word| word.starts_with("http://127.0.0.1:") && word.ends_with(path))
    })
}

#[test]
fn a_converted_sidecar_keeps_every_field_but_those_its_row_names() {
    each(|pod, plan, patched| {
        for name in converted(plan) {
            let (_, before) =
                containers(pod, "containers").find(|c| c.0 == name).ok_or("was no container")?;
            let (_, after) = containers(patched, "initContainers").find(|c| c.0 == name).ok_or("is lost")?;
            let probe = &before["startupProbe"];
            let goes = !probe.is_null() && after["startupProbe"].is_null();
            if goes && (!gate_asks(patched, probe) || !before["livenessProbe"].is_null()) {
                return Err(format!("nothing asks in the place of {probe}"));
            }
            let changes: &[_] =
                if goes { &[&OF_THE_ROW[..], &["startupProbe"]].concat() } else { &OF_THE_ROW };
            if without(before, changes) != without(after, changes) {
                return Err(format!("{before}\nbecame\n{after}"));
            }
            if after["restartPolicy"] != "Always" {
                return Err(format!("{name} is a plain init container"));
            }
            // Should its restart policy be stripped, the pod must be refused.
            let guards = ["startupProbe", "readinessProbe", "livenessProbe", "lifecycle"];
            if guards.iter().all(|guard| after[guard].is_null()) {
                return Err(format!("nothing guards the restart policy of {name}"));
            }
        }
        Ok(())
    });
}

#[test]
fn every_other_container_is_the_same_to_the_byte_and_in_its_order() {
    each(|pod, plan, patched| {
        let converted = converted(plan);
        let unwrapped: Vec<_> = plan.edits.wraps.iter().map(|wrap| wrap.container.as_str()).collect();
        let of_mains = |pod: &Value| -> Vec<String> {
            let mains = containers(pod, "containers").filter(|c| !converted.contains(&c.0));
            mains
                .filter(|c| !is_a_reaper(c.1))
                .filter(|c| !unwrapped.contains(&c.0))
                .map(|c| c.1.to_string())
                .collect()
        };
        if of_mains(pod) != of_mains(patched) {
            return Err("a container that stays is not what it was".to_owned());
        }
        // A validator may come forward, and the gate of an earlier pass go behind; the others keep their order.
        let native = plan.edits.native.as_ref().expect("a conversion");
        let moved: Vec<_> = native.moves.iter().map(|moved| moved.container.as_str()).collect();
        let of_inits = |pod: &Value, kept: &dyn Fn(&str) -> bool| -> Vec<String> {
            containers(pod, "initContainers").filter(|c| kept(c.0)).map(|c| c.1.to_string()).collect()
        };
        let mended: Vec<_> = native.repairs.iter().map(|repair| repair.container.as_str()).collect();
        for name in &mended {
            let of = |pod| containers(pod, "initContainers").find(|c| c.0 == *name).map(|c| c.1);
            let [before, after] = [of(pod), of(patched)].map(|c| c.map(|c| without(c, &MENDED)));
            if before != after {
                return Err(format!("more of {name} is mended than was to be"));
            }
        }
        let stays = |name: &str| !moved.contains(&name) && !mended.contains(&name) && name != GATE;
        if of_inits(pod, &stays) != of_inits(patched, &stays) {
            return Err("an init container that stays is not what it was".to_owned());
        }
        let comes_forward = |name: &str| moved.contains(&name) && !converted.contains(&name) && name != GATE;
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        if sorted(of_inits(pod, &comes_forward)) != sorted(of_inits(patched, &comes_forward)) {
            return Err("an init container that comes forward is not what it was".to_owned());
        }
        Ok(())
    });
}

#[test]
fn names_stay_unique_and_some_container_stays() {
    each(|_, _, patched| {
        let of = |list| containers(patched, list).map(|c| c.0).collect::<Vec<_>>();
        let mut names = [of("containers"), of("initContainers")].concat();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        (names.len() == count && !of("containers").is_empty()).then_some(()).ok_or_else(|| names.join(", "))
    });
}

#[test]
fn the_gate_comes_after_every_sidecar_and_asks_but_never_tells_to_go() {
    each(|_, plan, patched| {
        let inits: Vec<_> = containers(patched, "initContainers").collect();
        let Some(gate) = inits.iter().position(|c| c.0 == GATE) else {
            // Only of these can it be that nobody says when they are ready.
            let unasked =
                |role: &&String| ["vault-agent", "cloud-sql-proxy"].iter().any(|row| role.ends_with(row));
            let mut sidecars = plan.containers.values().filter(|role| role.starts_with("native sidecar"));
            return sidecars.all(|role| unasked(&role)).then_some(()).ok_or_else(|| "no gate".to_owned());
        };
        for name in plan
            .containers
            .iter()
            .filter(|(_, role)| role.starts_with("native sidecar"))
            .map(|(name, _)| name)
        {
            let place =
                inits.iter().position(|c| c.0 == name).ok_or_else(|| format!("{name} is not native"))?;
            if place > gate {
                return Err(format!("{name} comes after the gate"));
            }
        }
        let words: Vec<_> = inits[gate].1["command"].as_array().ok_or("no command")?.iter().collect();
        if words.iter().any(|word| **word == "--shutdown" || **word == "--shutdown-first" || **word == "--") {
            return Err(format!("the gate does more than wait: {words:?}"));
        }
        let mounts = inits[gate].1["volumeMounts"].to_string();
        let has_volume = patched["spec"]["volumes"].to_string().contains(TOKEN_VOLUME);
        (mounts.contains(TOKEN_VOLUME) && has_volume)
            .then_some(())
            .ok_or_else(|| format!("a token: {mounts}"))
    });
}

#[test]
fn converted_twice_is_converted_once() {
    for case in cases() {
        let engine = Engine::new(case.config());
        let decide = |pod| engine.decide(pod, None, case.around(), Some(Wish::Native));
        let Outcome::Planned { plan, patched, .. } = decide(case.pod.clone()) else { continue };
        match decide(patched) {
            Outcome::Planned { plan: again, patch, .. } => {
                assert!(patch.is_empty(), "{}: {}", case.name, json!(patch));
                assert_eq!(plan.status(), again.status(), "{}", case.name);
            }
            other => panic!("{}: {other:?}", case.name),
        }
    }
}

#[test]
fn a_converted_pod_is_left_in_peace_under_auto() {
    each(|_, plan, patched| {
        let engine = Engine::new(curfew::config::Config::builtin().expect("the built-in configuration"));
        let mut pod = patched.clone();
        pod["metadata"]["annotations"]
            .as_object_mut()
            .expect("annotations")
            .shift_remove("curfew.dev/strategy");
        match engine.decide(pod, None, nowhere(), None) {
            Outcome::Planned { plan: auto, .. } if auto.strategy.name() == "await" => {
                // Rows of a configuration of its own are not known here, nor is a namespace's.
                Err(format!("{} after {}: {}", auto.strategy.name(), plan.strategy.name(), auto.reason))
            }
            _ => Ok(()),
        }
    });
}
