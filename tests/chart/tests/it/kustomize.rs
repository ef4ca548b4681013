//! The kustomize base and its overlays are the chart's, to the last field.

use std::{collections::BTreeMap, fs, process::Command};

use curfew_chart::{Object, kustomize, manifests, parse, template, tool, unknown_fields};
use serde_json::Value;

use crate::rendered::of;

type ByIdentity = BTreeMap<(String, String, String), Value>;

/// Without what tells of Helm and, as no overlay can compute it, the checksum.
fn comparable(objects: Vec<Object>) -> ByIdentity {
    let comparable = objects.into_iter().map(|mut object| {
        for label in ["helm.sh/chart", "app.kubernetes.io/managed-by"] {
            object.forget("/metadata/labels", label);
        }
        object.forget("/spec/template/metadata/annotations", "checksum/config");
        sort(&mut object.0);
        (object.identity(), object.0)
    });
    comparable.collect()
}

/// kustomize puts patched volumes and environment first; their order means nothing.
fn sort(object: &mut Value) {
    let pod = "/spec/template/spec";
    for list in ["/volumes", "/containers/0/volumeMounts"] {
        if let Some(list) = object.pointer_mut(&format!("{pod}{list}")).and_then(Value::as_array_mut) {
            list.sort_by_key(|item| item["name"].to_string());
        }
    }
}

fn same(folder: &str, of_chart: Vec<Object>) {
    let mut of_kustomize = comparable(kustomize(&manifests().join("kustomize").join(folder)).unwrap());
    let own = of_kustomize.remove(&("Namespace".to_owned(), String::new(), "curfew".to_owned()));
    assert!(own.is_some(), "{folder}: Helm makes the namespace, kustomize has to bring it");
    let of_chart = comparable(of_chart);
    assert_eq!(
        of_kustomize.keys().collect::<Vec<_>>(),
        of_chart.keys().collect::<Vec<_>>(),
        "{folder} and the chart have other objects"
    );
    for (identity, object) in &of_chart {
        assert_eq!(&of_kustomize[identity], object, "{folder} and the chart differ in {identity:?}");
    }
}

/// What the chart renders with these arguments.
fn with(arguments: &[&str]) -> Vec<Object> {
    parse(&template(arguments).unwrap()).unwrap()
}

#[test]
fn the_base_is_the_default() {
    same("base", of("default"));
}

#[test]
fn overlays_are_the_chart_with_values() {
    for overlay in ["cert-manager", "single-namespace", "watch-only"] {
        same(&format!("overlays/{overlay}"), of(overlay));
    }
    let registry = [
        "registry=registry.example/team",
        "imagePullSecrets={registry}",
        "injectedImagePullSecrets={registry}",
    ];
    same("overlays/registry", with(&registry.map(|value| ["--set", value]).concat()));
    same("overlays/older", with(&["--kube-version", "1.29.15"]));
    let overlays = fs::read_dir(manifests().join("kustomize/overlays")).unwrap();
    assert_eq!(overlays.count(), 5, "an overlay is not compared");
}

#[test]
fn kubernetes_knows_every_field_of_the_base() {
    for object in kustomize(&manifests().join("kustomize/base")).unwrap() {
        assert_eq!(unknown_fields(&object).unwrap(), [""; 0], "{:?}", object.identity());
    }
}

#[test]
fn the_base_is_what_the_chart_renders_now() {
    let fresh = tempfile::tempdir().unwrap();
    let helm = tool("helm").unwrap();
    let script = manifests().join("kustomize/render.sh");
    let status = Command::new("sh").arg(script).arg(helm).arg(fresh.path()).status().unwrap();
    assert!(status.success());
    let base = manifests().join("kustomize/base");
    let by_hand = ["kustomization.yaml", "namespace.yaml"];
    let kept = fs::read_dir(&base).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut kept: Vec<_> = kept.filter(|name| !by_hand.contains(&name.as_str())).collect();
    let rendered =
        fs::read_dir(fresh.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut rendered: Vec<_> = rendered.collect();
    kept.sort();
    rendered.sort();
    assert_eq!(kept, rendered, "run make manifests");
    for name in rendered {
        let (old, new) = (fs::read_to_string(base.join(&name)), fs::read_to_string(fresh.path().join(&name)));
        assert_eq!(old.unwrap(), new.unwrap(), "{name}: run make manifests");
    }
}
