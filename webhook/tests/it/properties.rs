//! What holds for every input, not only for the corpus: nothing panics, nothing is denied, a second pass is idle.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use curfew::{
    admission::{Engine, Outcome, Surroundings},
    config::Config,
    plan::{Kubelets, Namespace, Version, Wish},
    serve::Answer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::nowhere;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(Config::builtin().expect("the built-in configuration")));
static PODS: LazyLock<Vec<Value>> =
    LazyLock::new(|| crate::support::cases().iter().map(|case| case.pod.clone()).collect());

/// Clusters nothing is known of, that can do everything, that get startup probes wrong, and that can do nothing; in
/// namespaces with and without annotations.
static AROUND: LazyLock<Vec<(Namespace, Kubelets)>> = LazyLock::new(|| {
    let of = |minor, patch| Kubelets::none_older("a test allows", Version::new(1, minor, patch));
    let annotations = [
        ("config.linkerd.io/proxy-enable-native-sidecar", "false"),
        ("config.linkerd.io/skip-inbound-ports", "25"),
        ("sidecar.istio.io/nativeSidecar", "true"),
        ("curfew.dev/k6-control-port", "mesh"),
    ];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let labelled = Namespace { annotations: annotations.into(), labelled: true, unread: None };
    let clusters = [Kubelets::default(), of(36, 3), of(33, 0), of(28, 0)];
    let in_each =
        |kubelets: Kubelets| [(Namespace::default(), kubelets.clone()), (labelled.clone(), kubelets)];
    clusters.into_iter().flat_map(in_each).collect()
});

fn any_surroundings() -> impl Strategy<Value = Surroundings<'static>> {
    (0..AROUND.len(), any::<bool>()).prop_map(|(index, watch)| {
        let (namespace, kubelets) = &AROUND[index];
        Surroundings { namespace, kubelets, watch }
    })
}

fn review(body: &[u8]) -> Answer {
    ENGINE.review(body, nowhere())
}

/// Any JSON, with strings that mean something to Curfew among them.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "",
            "Never",
            "Always",
            "await",
            "off",
            "linkerd-proxy",
            "istio-proxy",
            "main",
            "--",
            "windows",
            "enabled",
            "/.curfew/bin/curfew-reaper",
            "curfew-bin",
            "curfew-reaper",
            "curfew-done",
            "/curfew-reaper",
            "reap",
            "on",
            "0.0.0.0:99999",
            "9Ei",
            "- name: x",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What becomes of a value in a pod.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    /// An object's values without their keys: serde's derive would take that for a struct.
    List,
}

/// A pod of the corpus in which some values, wherever they stand, became others.
fn broken_pod() -> impl Strategy<Value = Value> {
    let change = prop_oneof![any_json().prop_map(Change::Replace), Just(Change::Remove), Just(Change::List)];
    let change = (any::<prop::sample::Index>(), change);
    (any::<prop::sample::Index>(), prop::collection::vec(change, 0..4)).prop_map(|(index, changes)| {
        let mut pod = index.get(&PODS).clone();
        for (place, change) in changes {
            let mut places = Vec::new();
            collect(&pod, String::new(), &mut places);
            let place = place.get(&places);
            match (change, place.rsplit_once('/')) {
                (Change::Replace(value), _) => *pod.pointer_mut(place).expect("a place of this pod") = value,
                (Change::Remove, Some((parent, key))) => {
                    remove(pod.pointer_mut(parent).expect("its parent"), key);
                }
                (Change::Remove, None) => {}
                (Change::List, _) => {
                    let value = pod.pointer_mut(place).expect("a place of this pod");
                    if let Value::Object(members) = value {
                        *value = members.values().cloned().collect();
                    }
                }
            }
        }
        pod
    })
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(member, format!("{place}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{place}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}

fn remove(parent: &mut Value, key: &str) {
    match parent {
        Value::Object(members) => drop(members.shift_remove(&key.replace("~1", "/").replace("~0", "~"))),
        Value::Array(items) => drop(items.remove(key.parse().expect("an index"))),
        _ => {}
    }
}

fn review_of(object: &Value) -> Vec<u8> {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "load",
        "operation": "CREATE", "object": object}})
    .to_string()
    .into_bytes()
}

/// The same JSON with every letter within a string as an escape.
fn escaped(json: &str) -> String {
    let mut text = String::new();
    let (mut within, mut after_backslash) = (false, false);
    for c in json.chars() {
        match c {
            c if after_backslash => text.push(c),
            '"' => {
                within = !within;
                text.push(c);
            }
            // The digits of an escape stay what they are.
            'g'..='z' | 'A'..='Z' if within => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
        after_backslash = c == '\\' && !after_backslash;
    }
    text
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(512)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_pod_of_any_shape_is_admitted_and_patched_at_most_once(pod in broken_pod(), around in any_surroundings()) {
        let answer = ENGINE.review(&review_of(&pod), around);
        prop_assert_eq!(answer.status, 200);
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        prop_assert_eq!(&answer["response"]["allowed"], &json!(true));
        prop_assert_eq!(&answer["response"]["uid"], &json!("u-1"));
        // What goes out was applied to nothing before it did: it has to hold here, and be what `inject` does.
        let mut answered = pod.clone();
        if let Some(patch) = answer["response"]["patch"].as_str() {
            let patch = STANDARD.decode(patch).expect("base64");
            let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
            let applied = json_patch::patch(&mut answered, &patch);
            prop_assert!(applied.is_ok(), "{applied:?}");
        }
        let outcome = ENGINE.decide(pod.clone(), None, around, None);
        let patched = match &outcome {
            Outcome::Planned { patched, .. } => patched,
            Outcome::Untouched(_) => &pod,
            Outcome::Failed(reason) => {
                prop_assert!(!reason.contains("does not apply"), "{reason}");
                &pod
            }
        };
        prop_assert_eq!(&answered, patched);
        if let Outcome::Planned { patched, .. } = outcome {
            match ENGINE.decide(patched, None, around, None) {
                Outcome::Planned { patch, .. } => prop_assert!(patch.is_empty(), "{}", json!(patch)),
                other => prop_assert!(false, "then {other:?}"),
            }
        }
    }

    #[test]
    fn a_strategy_named_for_a_pod_of_any_shape_is_carried_out_at_most_once(
        pod in broken_pod(), around in any_surroundings(), wish in prop::sample::select(vec![Wish::Native, Wish::Reaper])
    ) {
        let wish = Some(wish);
        match ENGINE.decide(pod, None, around, wish) {
            Outcome::Planned { plan, patched, .. } => {
                match ENGINE.decide(patched, None, around, wish) {
                    Outcome::Planned { patch, .. } => {
                        prop_assert!(patch.is_empty(), "{}: {}", plan.strategy.name(), json!(patch));
                    }
                    other => prop_assert!(false, "then {other:?}"),
                }
            }
            Outcome::Untouched(_) => {}
            Outcome::Failed(reason) => prop_assert!(!reason.contains("does not apply"), "{reason}"),
        }
    }

    #[test]
    fn a_pod_is_read_the_same_however_its_strings_are_written(pod in broken_pod()) {
        let plain = String::from_utf8(review_of(&pod)).expect("UTF-8");
        prop_assert_eq!(review(escaped(&plain).as_bytes()).body, review(plain.as_bytes()).body);
    }

    #[test]
    fn any_object_is_admitted(object in any_json()) {
        let answer = review(&review_of(&object));
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        prop_assert_eq!(&answer["response"]["allowed"], &json!(true));
    }

    #[test]
    fn any_json_body_has_an_answer(body in any_json()) {
        let status = review(body.to_string().as_bytes()).status.as_u16();
        prop_assert!([200, 400].contains(&status), "{status}");
    }

    #[test]
    fn any_bytes_have_an_answer(body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(review(&body).status, 400);
    }
}
