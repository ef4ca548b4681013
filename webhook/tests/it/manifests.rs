//! What is under `manifests/` for users to apply.

use std::{fs, path::PathBuf};

use serde_json::Value;

fn folder(name: &str) -> Vec<(PathBuf, Vec<Value>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(name);
    let files = fs::read_dir(&folder).expect(name).map(|file| file.expect(name).path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| {
        let text = fs::read_to_string(&path).expect("text");
        let documents = serde_saphyr::from_multiple(&text);
        let documents = documents.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, documents)
    })
    .collect()
}

#[test]
fn every_document_is_an_object_of_kubernetes() {
    for name in ["examples", "policies"] {
        let files = folder(name);
        assert!(!files.is_empty(), "{name}");
        for (path, documents) in files {
            assert!(!documents.is_empty(), "{}", path.display());
            for document in documents {
                for field in ["/apiVersion", "/kind", "/metadata/name"] {
                    let text = document.pointer(field).and_then(Value::as_str);
                    assert!(text.is_some_and(|text| !text.is_empty()), "{}: {field}", path.display());
                }
            }
        }
    }
}

#[test]
fn policies_are_about_the_runners_and_their_port() {
    let runners = serde_json::json!({"app": "k6", "runner": "true"});
    let selectors = ["/spec/podSelector/matchLabels", "/spec/selector/matchLabels"];
    for (path, documents) in folder("policies") {
        let found = documents.iter().flat_map(|document| selectors.map(|at| document.pointer(at)));
        assert_eq!(found.flatten().collect::<Vec<_>>(), [&runners], "{}", path.display());
        assert!(serde_json::json!(documents).to_string().contains("6565"), "{}", path.display());
    }
}

#[test]
fn who_an_authorization_is_for_and_asks_for_is_in_the_same_file() {
    for (path, documents) in folder("policies") {
        let named = |reference: &Value| {
            documents.iter().any(|document| {
                document["kind"] == reference["kind"]
                    && document["metadata"]["name"] == reference["name"]
                    && document["apiVersion"].as_str().unwrap_or_default().split('/').next()
                        == reference["group"].as_str()
            })
        };
        for policy in documents.iter().filter(|document| document["kind"] == "AuthorizationPolicy") {
            let required = policy["spec"]["requiredAuthenticationRefs"].as_array().expect("references");
            for reference in required.iter().chain([&policy["spec"]["targetRef"]]) {
                assert!(named(reference), "{}: {reference}", path.display());
            }
        }
    }
}
