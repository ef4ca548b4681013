//! What `curfew explain -f` takes a TestRun's pods for, beside what k6-operator makes of it.

use curfew::explain::{Subject, subjects};
use serde_json::Value;

use crate::support::cases;

/// What the pods in the corpus were made from.
const RUN: &str = "
kind: TestRun
metadata: {name: sample, namespace: load}
spec:
  parallelism: 2
  script: {configMap: {name: sample-test}}
  runner: {image: docker.io/grafana/k6:latest}
";

fn pods(text: &str) -> Vec<Value> {
    let Subject { templates, .. } = subjects("f", text).expect("YAML").remove(0);
    templates.into_iter().map(|template| template.pod).collect()
}

/// Whether all of this is in that; of lists, each in some element. Of commands only the first words are known.
fn is_in(built: &Value, real: &Value, path: &str) {
    match (built, real) {
        (Value::Object(fields), _) => {
            for (key, value) in fields {
                is_in(value, &real[key], &format!("{path}/{key}"));
            }
        }
        (Value::Array(words), Value::Array(all)) if path.ends_with("/command") => {
            assert_eq!(words[..2], all[..2], "{path}");
        }
        (Value::Array(items), Value::Array(all)) => {
            for (at, item) in items.iter().enumerate() {
                is_in(item, all.get(at).unwrap_or(&Value::Null), &format!("{path}/{at}"));
            }
        }
        // Any will do; an empty list is none.
        _ if path.ends_with("/uid") => {}
        (Value::Array(none), Value::Null) if none.is_empty() => {}
        _ => assert_eq!(built, real, "{path}"),
    }
}

#[test]
fn the_pods_of_a_testrun_are_those_the_operator_makes() {
    let built = pods(RUN);
    for (built, case) in built.iter().zip(["k6-initializer-round1", "k6-runner-round1", "k6-starter-round1"])
    {
        let case = cases().iter().find(|one| one.name == case).expect(case);
        is_in(built, &case.pod, &case.name);
    }
    assert_eq!(built.len(), 3);
}
