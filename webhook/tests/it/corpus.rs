//! The corpus through the library, and what holds for every case.
//!
//! `CURFEW_BLESS=1 cargo test -p curfew --test it corpus` rewrites the goldens; read the difference before you commit it.

use std::fs;

use crate::{
    places::{escaped, grown_lists, is_named, places, without},
    support::{Case, cases, golden, plan_golden},
};
use curfew::{
    admission::Outcome,
    plan::{Conversion, Plan},
};
use serde_json::{Value, json};

/// Runs a check on every case and reports all that fail, not only the first.
fn all(check: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<_> = cases()
        .iter()
        .filter_map(|case| check(case).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_pod_comes_to_its_plan_and_its_pod() {
    assert!(cases().len() >= 60, "the corpus has only {} cases", cases().len());
    all(|case| {
        let outcome = case.decide(&case.pod);
        golden(&case.folder.join("plan.yaml"), Some(&plan_golden(&outcome)))?;
        let patched = match &outcome {
            Outcome::Planned { patched, .. } => Some(patched),
            _ => None,
        };
        golden(&case.folder.join("patched.yaml"), patched)
    });
}

#[test]
fn no_folder_holds_anything_but_a_case() {
    const FILES: [&str; 6] =
        ["pod.yaml", "namespace.yaml", "cluster.yaml", "config.yaml", "plan.yaml", "patched.yaml"];
    all(|case| {
        let files = fs::read_dir(&case.folder).map_err(|error| error.to_string())?;
        for file in files.map(|file| file.expect("an entry").file_name()) {
            if !FILES.iter().any(|known| file == *known) {
                return Err(format!("{} belongs to nothing", file.display()));
            }
        }
        Ok(())
    });
}

#[test]
fn a_second_pass_yields_no_operation() {
    all(|case| match case.decide(&case.pod) {
        Outcome::Planned { patched, .. } => match case.decide(&patched) {
            Outcome::Planned { patch, .. } if patch.is_empty() => Ok(()),
            other => Err(format!("{}", plan_golden(&other))),
        },
        Outcome::Untouched(_) => Ok(()),
        Outcome::Failed(reason) => Err(reason),
    });
}

#[test]
fn operations_touch_only_what_the_plan_names() {
    all(|case| match case.decide(&case.pod) {
        Outcome::Planned { plan, patch, patched } => {
            let allowed = places(&plan, &case.pod);
            for operation in json!(patch).as_array().expect("a patch is a list") {
                let path = operation["path"].as_str().expect("a path");
                let named = |path: &str| {
                    allowed.iter().any(|place| path == place || path.starts_with(&format!("{place}/")))
                };
                // A pod without labels or annotations is given the whole map: then its keys are what counts.
                let whole_map = || {
                    let added = operation["value"].as_object().filter(|_| case.pod.pointer(path).is_none());
                    added.is_some_and(|map| map.keys().all(|key| named(&format!("{path}/{}", escaped(key)))))
                };
                if operation["op"] != "test" && !named(path) && !whole_map() {
                    return Err(format!("{operation} is outside of {allowed:?}"));
                }
            }
            // What is in a list stays there, as it was and in its order; new items come after it.
            for list in grown_lists(&plan) {
                let items =
                    |pod: &Value| pod.pointer(&list).and_then(Value::as_array).cloned().unwrap_or_default();
                let (before, after) = (items(&case.pod), items(&patched));
                let kept = before.iter().zip(&after).all(|(was, is)| was == is || is_named(was, &plan));
                if after.len() < before.len() || !kept {
                    return Err(format!("{list} lost or changed something"));
                }
            }
            // And what is there outside of those places is there unchanged.
            if without(&case.pod, &allowed) == without(&patched, &allowed) {
                Ok(())
            } else {
                Err(curfew::inject::unified(
                    "outside",
                    &without(&case.pod, &allowed),
                    &without(&patched, &allowed),
                ))
            }
        }
        _ => Ok(()),
    });
}

#[test]
fn an_invented_field_survives_wherever_it_stands() {
    all(|case| {
        let mut pod = case.pod.clone();
        invent(&mut pod);
        // Each has to be where it was, but in containers that change their place, in a probe the gate replaces, and in a
        // reaper, which is Curfew's own.
        let lost = |plan: &Plan, patched: &Value| {
            let (patched, dropped) = (by_name(patched), taken_out(plan));
            let stays = |place: &String| !dropped.iter().any(|gone| place.starts_with(gone));
            invented(&by_name(&pod)).into_iter().filter(stays).find(|place| patched.pointer(place).is_none())
        };
        match case.decide(&pod) {
            Outcome::Planned { plan, patched, .. } => {
                lost(&plan, &patched).map_or(Ok(()), |place| Err(format!("{place} is lost")))
            }
            Outcome::Failed(reason) => Err(reason),
            _ => Ok(()),
        }
    });
}

/// What a plan may take out: startup probes of sidecars, and a reaper.
fn taken_out(plan: &Plan) -> Vec<String> {
    let reaper = "/named/curfew-reaper".to_owned();
    let Some(native) = &plan.edits.native else { return vec![reaper] };
    let drops = |conversion: &Conversion| conversion.drop_startup_probe;
    let moved = native.moves.iter().filter(|moved| moved.conversion.as_ref().is_some_and(drops));
    let repaired = native.repairs.iter().filter(|repair| repair.drop_startup_probe);
    let names = moved.map(|moved| &moved.container).chain(repaired.map(|repair| &repair.container));
    names.map(|name| format!("/named/{name}/startupProbe")).chain([reaper]).collect()
}

#[test]
fn commands_and_arguments_keep_every_word() {
    all(|case| match case.decide(&case.pod) {
        Outcome::Planned { plan, patched, .. } if !plan.edits.wraps.is_empty() => {
            for wrap in &plan.edits.wraps {
                let before = &case.pod["spec"]["containers"][wrap.index];
                let containers = patched["spec"]["containers"].as_array().expect("containers");
                let after =
                    containers.iter().find(|c| c["name"] == *wrap.container).ok_or("a main is gone")?;
                if before["args"] != after["args"] {
                    return Err(format!("arguments of {} changed", wrap.container));
                }
                let words = |value: &Value| value.as_array().cloned().unwrap_or_default();
                let own = words(&before["command"]);
                let own = own
                    .iter()
                    .position(|word| word == "--")
                    .filter(|_| own[0] == curfew::plan::REAPER)
                    .map_or(&own[..], |end| &own[end + 1..]);
                if !words(&after["command"]).ends_with(own) {
                    return Err(format!("command of {} changed: {}", wrap.container, after["command"]));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    });
}

#[test]
fn every_status_is_one_line_of_json_that_names_its_strategy() {
    all(|case| match case.decide(&case.pod) {
        Outcome::Planned { plan, patched, .. } => {
            let text = patched["metadata"]["annotations"]["curfew.dev/status"].as_str().ok_or("no status")?;
            let status: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let label = &patched["metadata"]["labels"]["curfew.dev/applied"];
            let strategy = json!(plan.strategy);
            (status["strategy"] == strategy && *label == strategy && !text.contains('\n'))
                .then_some(())
                .ok_or_else(|| text.to_owned())
        }
        _ => Ok(()),
    });
}

/// Puts a field no API knows into every object but those whose keys are the user's.
fn invent(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                if !["labels", "annotations", "nodeSelector", "limits", "requests"].contains(&key.as_str()) {
                    invent(member);
                }
            }
            members.insert("curfewInvented".to_owned(), json!({"x": [1, null, "y"]}));
        }
        Value::Array(items) => items.iter_mut().for_each(invent),
        _ => {}
    }
}

/// A copy with its containers under their names, whichever list they are in; without hooks, which rows may drop.
fn by_name(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let mut named = serde_json::Map::new();
    for list in ["containers", "initContainers"] {
        let list = pod["spec"].as_object_mut().and_then(|spec| spec.shift_remove(list)).unwrap_or_default();
        for mut container in list.as_array().cloned().unwrap_or_default() {
            container.as_object_mut().expect("a container").shift_remove("lifecycle");
            named.insert(container["name"].as_str().expect("a name").to_owned(), container);
        }
    }
    pod["named"] = Value::Object(named);
    pod
}

/// Where [`invent`] put its fields.
fn invented(value: &Value) -> Vec<String> {
    let below =
        |key: String, child: &Value| invented(child).into_iter().map(move |place| format!("/{key}{place}"));
    match value {
        Value::Object(members) => {
            let own = members.contains_key("curfewInvented").then(|| "/curfewInvented".to_owned());
            own.into_iter()
                .chain(members.iter().flat_map(|(key, child)| below(escaped(key), child)))
                .collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(i, child)| below(i.to_string(), child)).collect()
        }
        _ => Vec::new(),
    }
}
