//! Admission reviews captured from a real API server, where they are at hand: they lie beside the checkout, not in it.

use std::{collections::BTreeSet, fs};

use curfew::{
    admission::{Engine, Outcome},
    config::Config,
    plan::{Plan, Wish},
};
use serde_json::{Value, json};

/// Plans for every pod of them, twice, and hands over the plan and what comes out. Says whether there are any.
fn each(strategy: Option<Wish>, mut check: impl FnMut(&str, &Plan, &Value)) -> bool {
    let folder = crate::support::corpus_folder().join("../../../shared/captured");
    let Ok(meshes) = fs::read_dir(&folder) else { return false };
    let engine = Engine::new(Config::builtin().expect("the built-in configuration"));
    for file in meshes.flatten().flat_map(|mesh| fs::read_dir(mesh.path())).flatten().flatten() {
        let name = file.path().display().to_string();
        let review: Value = serde_json::from_slice(&fs::read(file.path()).expect("a review")).expect("JSON");
        let decide = |pod| engine.decide(pod, None, crate::support::nowhere(), strategy);
        let Outcome::Planned { plan, patched, .. } = decide(review["request"]["object"].clone()) else {
            panic!("{name}: not planned for");
        };
        assert_eq!(plan.warnings, [""; 0], "{name}");
        let Outcome::Planned { patch, .. } = decide(patched.clone()) else {
            panic!("{name}: not planned for again");
        };
        assert!(patch.is_empty(), "{name}: {}", json!(patch));
        check(&name, &plan, &patched);
    }
    true
}

#[test]
fn reviews_captured_from_a_real_api_server_are_planned_for() {
    let mut awaited = BTreeSet::new();
    let at_hand = each(None, |_, plan, _| {
        if plan.strategy.name() == "await" {
            awaited.insert(plan.workload.clone());
        }
    });
    if !at_hand {
        println!("no captured reviews beside this checkout: nothing to do");
        return;
    }
    let expected = ["cronjob", "k6-initializer", "k6-runner", "k6-starter"];
    assert!(awaited.iter().map(String::as_str).eq(expected), "{awaited:?}");
}

#[test]
fn captured_proxies_become_native_in_the_form_their_own_injectors_give_them() {
    let mut converted = 0;
    let at_hand = each(Some(Wish::Native), |name, plan, patched| {
        if plan.strategy.name() != "native" {
            assert!(name.ends_with("round1.json"), "{name}: {}", plan.reason);
            return;
        }
        converted += 1;
        let inits = patched["spec"]["initContainers"].as_array().expect("init containers");
        let names: Vec<_> =
            inits.iter().map(|container| container["name"].as_str().expect("a name")).collect();
        let [.., init, proxy, "curfew-gate"] = names[..] else { panic!("{name}: {names:?}") };
        let container = &inits[inits.len() - 2];
        assert_eq!(container["restartPolicy"], "Always", "{name}");
        let drain = ["pilot-agent", "request", "--debug-port=15020", "POST", "drain"];
        match (init, proxy) {
            ("linkerd-init", "linkerd-proxy") => assert!(container.get("lifecycle").is_none(), "{name}"),
            ("istio-init", "istio-proxy") => {
                let hooks = json!({"preStop": {"exec": {"command": drain}}});
                assert_eq!(container["lifecycle"], hooks, "{name}");
                let lists = patched["metadata"]["annotations"]["sidecar.istio.io/status"].as_str();
                let lists: Value = serde_json::from_str(lists.expect("a status")).expect("JSON");
                assert_eq!(lists["initContainers"], json!(["istio-init", "istio-proxy"]), "{name}");
                assert_eq!(lists["containers"], Value::Null, "{name}");
            }
            _ => panic!("{name}: {names:?}"),
        }
    });
    assert!(!at_hand || converted == 14, "{converted} pods were converted");
}
