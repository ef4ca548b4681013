//! Whatever comes as a review: nothing panics, the pod is admitted, a patch applies, and once is enough.
#![no_main]

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use curfew::{
    admission::{Engine, Outcome, Surroundings},
    config::Config,
    plan::{Kubelets, Namespace, Version},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(Config::builtin().expect("the built-in configuration")));
static NAMESPACE: LazyLock<Namespace> = LazyLock::new(Namespace::default);
/// Nobody knows, all can do everything, and one can do nothing.
static KUBELETS: LazyLock<[Kubelets; 3]> = LazyLock::new(|| {
    let of = |version| Kubelets::none_older("the fuzzer allows", version);
    [Kubelets::default(), of(Version::new(1, 36, 3)), of(Version::new(1, 28, 0))]
});

fuzz_target!(|body: &[u8]| {
    for (kubelets, watch) in KUBELETS.iter().flat_map(|kubelets| [(kubelets, false), (kubelets, true)]) {
        let around = Surroundings { namespace: &NAMESPACE, kubelets, watch };
        let answer = ENGINE.review(body, around);
        if answer.status != 200 {
            continue;
        }
        let answer: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
        assert_eq!(answer["response"]["allowed"], true, "a pod was denied");
        let Some(patch) = answer["response"]["patch"].as_str() else { continue };
        let patch = STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
        let review: Value = serde_json::from_slice(body).expect("what was patched is JSON");
        let mut pod = review["request"]["object"].clone();
        json_patch::patch(&mut pod, &patch).expect("the patch applies");
        match ENGINE.decide(pod, None, around, None) {
            Outcome::Planned { patch, .. } => assert!(patch.is_empty(), "once is not enough: {}", patch.json()),
            other => panic!("patched, then {other:?}"),
        }
    }
});
