//! What comes out, for every values file.

use std::{collections::BTreeSet, path::Path};

use curfew_chart::{Object, helm, rendered, unknown_fields, values};
use serde_json::Value;

/// Checks what every values file renders to, and reports all that fail.
fn all(check: impl Fn(&str, &[Object]) -> Result<(), String>) {
    let files = values().unwrap();
    assert!(files.len() >= 15, "there are only {} values files", files.len());
    let failures: Vec<_> = files
        .iter()
        .filter_map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let objects = rendered(file).map_err(|error| error.to_string());
            let checked = objects.and_then(|objects| check(name, &objects));
            checked.err().map(|error| format!("{name}: {error}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The objects of one values file.
pub(crate) fn of(name: &str) -> Vec<Object> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("values");
    rendered(&folder.join(name).with_extension("yaml")).unwrap()
}

/// The one of that kind and name.
pub(crate) fn one<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object.kind() == kind && object.name() == name);
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).0
}

fn has(objects: &[Object], kind: &str) -> bool {
    objects.iter().any(|object| object.kind() == kind)
}

fn container(objects: &[Object]) -> &Value {
    &one(objects, "Deployment", "curfew")["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn lint_finds_nothing() {
    let chart = curfew_chart::chart().display().to_string();
    for file in values().unwrap() {
        let said = helm(["lint", "--strict", &chart, "--values", file.to_str().unwrap()]).unwrap();
        assert!(
            said.contains("0 chart(s) failed") && !said.contains("[WARNING]"),
            "{}: {said}",
            file.display()
        );
    }
}

#[test]
fn kubernetes_knows_every_field() {
    all(|_, objects| {
        for object in objects {
            let unknown =
                unknown_fields(object).map_err(|error| format!("{:?}: {error}", object.identity()))?;
            if !unknown.is_empty() {
                return Err(format!("{:?}: {}", object.identity(), unknown.join(", ")));
            }
        }
        Ok(())
    });
}

#[test]
fn no_two_objects_are_the_same_and_each_lies_where_it_should() {
    const OF_THE_CLUSTER: [&str; 6] = [
        "ClusterRole",
        "ClusterRoleBinding",
        "MutatingWebhookConfiguration",
        "PriorityClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    all(|_, objects| {
        let identities: BTreeSet<_> = objects.iter().map(Object::identity).collect();
        if identities.len() < objects.len() {
            return Err("two objects are the same".to_owned());
        }
        let misplaced = identities
            .iter()
            .find(|(kind, namespace, _)| OF_THE_CLUSTER.contains(&kind.as_str()) != namespace.is_empty());
        misplaced.map_or(Ok(()), |identity| Err(format!("{identity:?} has the wrong scope")))
    });
}

#[test]
fn a_bundle_is_rendered_only_where_the_user_brings_it() {
    all(|name, objects| {
        let hooks = objects.iter().filter(|object| object.kind() == "MutatingWebhookConfiguration");
        let entries: Vec<_> = hooks.flat_map(|object| object.0["webhooks"].as_array().unwrap()).collect();
        let bundles = entries.iter().filter(|entry| entry["clientConfig"].get("caBundle").is_some()).count();
        let expected = if name == "files" { entries.len() } else { 0 };
        if bundles == expected { Ok(()) } else { Err(format!("{bundles} bundles, not {expected}")) }
    });
    let objects = of("files");
    let bundle = &one(&objects, "MutatingWebhookConfiguration", "00-curfew")["webhooks"][0]["clientConfig"]["caBundle"];
    // base64 of `-----BEGIN CERTIFICATE`.
    assert!(bundle.as_str().unwrap().starts_with("LS0tLS1CRUdJTiBDRVJUSUZJQ0FUR"), "{bundle}");
}

#[test]
fn its_own_namespace_and_the_excluded_ones_are_never_asked_about() {
    all(|name, objects| {
        let hooks = objects.iter().filter(|object| object.kind() == "MutatingWebhookConfiguration");
        for entry in hooks.flat_map(|object| object.0["webhooks"].as_array().unwrap()) {
            let expressions = entry["namespaceSelector"]["matchExpressions"].as_array().unwrap();
            let excluded = expressions
                .iter()
                .find(|e| e["key"] == "kubernetes.io/metadata.name" && e["operator"] == "NotIn");
            let excluded = excluded.and_then(|e| e["values"].as_array()).ok_or("nothing is excluded")?;
            let wanted: &[&str] = if name == "without-watch" {
                &["curfew", "kube-system", "istio-system"]
            } else {
                &["curfew", "kube-system"]
            };
            if excluded != wanted {
                return Err(format!("{excluded:?} are excluded, not {wanted:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn pods_meet_pod_security_restricted_but_for_the_nodes_network() {
    all(|name, objects| {
        let pod = &one(objects, "Deployment", "curfew")["spec"]["template"]["spec"];
        let container = &pod["containers"][0]["securityContext"];
        let holds = pod["securityContext"]["runAsNonRoot"] == true
            && pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
            && container["allowPrivilegeEscalation"] == false
            && container["readOnlyRootFilesystem"] == true
            && container["capabilities"]["drop"][0] == "ALL"
            && (pod.get("hostNetwork").is_none() || name == "host-network");
        if holds { Ok(()) } else { Err(format!("{pod}")) }
    });
}

#[test]
fn the_default_is_two_replicas_that_keep_apart_and_are_not_all_taken_at_once() {
    let objects = of("default");
    let spec = &one(&objects, "Deployment", "curfew")["spec"];
    assert_eq!(
        (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxUnavailable"]),
        (&2.into(), &0.into())
    );
    let pod = &spec["template"]["spec"];
    let apart = &pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(apart["podAffinityTerm"]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(pod["priorityClassName"], one(&objects, "PriorityClass", "curfew")["metadata"]["name"]);
    assert_eq!(one(&objects, "PodDisruptionBudget", "curfew")["spec"]["maxUnavailable"], 1);
    let webhook = &one(&objects, "NetworkPolicy", "curfew")["spec"]["ingress"][0];
    assert_eq!((&webhook["ports"][0]["port"], webhook.get("from")), (&"https".into(), None));
}

#[test]
fn the_watch_alone_has_neither_webhook_nor_certificate_nor_the_rights_for_them() {
    let objects = of("watch-only");
    for kind in ["MutatingWebhookConfiguration", "Role", "Issuer"] {
        assert!(!has(&objects, kind), "{kind}");
    }
    let rules = one(&objects, "ClusterRole", "curfew")["rules"].to_string();
    assert!(
        !rules.contains("namespaces") && !rules.contains("nodes") && rules.contains("pods/status"),
        "{rules}"
    );
    assert!(container(&objects)["args"].to_string().contains("--no-webhook"));
}

#[test]
fn namespaced_rights_leave_none_on_the_cluster_but_on_its_own_configuration() {
    let objects = of("single-namespace");
    let of_cluster: Vec<_> =
        objects.iter().filter(|object| object.kind() == "ClusterRole").map(Object::name).collect();
    assert_eq!(of_cluster, ["curfew-certificates"]);
    assert_eq!(
        one(&objects, "ClusterRole", "curfew-certificates")["rules"][0]["resourceNames"],
        serde_json::json!(["00-curfew"])
    );
    for entry in one(&objects, "MutatingWebhookConfiguration", "00-curfew")["webhooks"].as_array().unwrap() {
        let selector = entry["namespaceSelector"].to_string();
        assert!(selector.contains(r#""operator":"In","values":["load"]"#), "{selector}");
    }
    // With cert-manager there is none at all.
    assert!(!has(&of("namespaces"), "ClusterRole") && !has(&of("namespaces"), "ValidatingAdmissionPolicy"));
}

#[test]
fn ports_and_the_nodes_network_reach_every_place() {
    let objects = of("host-network");
    let ports = &container(&objects)["ports"];
    assert_eq!((&ports[0]["containerPort"], &ports[1]["containerPort"]), (&10260.into(), &10261.into()));
    let arguments = container(&objects)["args"].to_string();
    assert!(
        arguments.contains("--listen=0.0.0.0:10260") && arguments.contains("--admin-listen=0.0.0.0:10261")
    );
    let pod = &one(&objects, "Deployment", "curfew")["spec"]["template"]["spec"];
    assert_eq!((&pod["hostNetwork"], &pod["dnsPolicy"]), (&true.into(), &"ClusterFirstWithHostNet".into()));
    assert!(!has(&objects, "NetworkPolicy"));
    assert_eq!(one(&objects, "Service", "curfew")["spec"]["ports"][0]["port"], 443);
}

#[test]
fn every_right_to_patch_on_the_cluster_has_a_bound_policy_that_keeps_it_to_fields() {
    all(|name, objects| {
        let mut rights = BTreeSet::new();
        for role in objects.iter().filter(|object| object.kind() == "ClusterRole") {
            for rule in role.0["rules"].as_array().unwrap() {
                if rule["verbs"].as_array().unwrap().contains(&"patch".into()) {
                    rights.extend(rule["resources"].as_array().unwrap().iter().filter_map(Value::as_str));
                }
            }
        }
        let policies: Vec<_> =
            objects.iter().filter(|object| object.kind() == "ValidatingAdmissionPolicy").collect();
        let wanted: BTreeSet<_> = match name {
            "bare" => BTreeSet::new(),
            _ => rights.iter().map(|right| right.split('/').next().unwrap_or_default()).collect(),
        };
        let policed: BTreeSet<_> = policies
            .iter()
            .filter_map(|policy| {
                policy.0["spec"]["matchConstraints"]["resourceRules"][0]["resources"][0].as_str()
            })
            .collect();
        if policed != wanted {
            return Err(format!("policies are about {policed:?}, rights to patch about {wanted:?}"));
        }
        for policy in policies {
            let binding = one(objects, "ValidatingAdmissionPolicyBinding", policy.name());
            let account = "request.userInfo.username == 'system:serviceaccount:curfew:curfew'";
            let holds = binding["spec"]["policyName"] == policy.name()
                && binding["spec"]["validationActions"] == serde_json::json!(["Deny"])
                && policy.0["spec"]["failurePolicy"] == "Fail"
                && policy.0["spec"]["matchConditions"][0]["expression"] == account;
            if !holds {
                return Err(format!("{} or its binding does not hold", policy.name()));
            }
        }
        Ok(())
    });
    let of = |values: &str| {
        let objects = of(values);
        let policies = objects.iter().filter(|object| object.kind() == "ValidatingAdmissionPolicy");
        policies.map(|policy| policy.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("default"), ["curfew-watch", "curfew-certificates"]);
    assert_eq!((of("watch-only"), of("cert-manager")), (of("files"), vec!["curfew-watch".to_owned()]));
    assert_eq!(of("single-namespace"), ["curfew-certificates"]);
    assert_eq!(of("bare"), [""; 0]);
}

#[test]
fn the_policies_are_rendered_where_kubernetes_has_them() {
    for (version, expected) in
        [("1.28.0", false), ("1.29.15", false), ("v1.30.1-gke.100", true), ("1.36.3", true)]
    {
        let text = curfew_chart::template(&["--kube-version", version]).unwrap();
        let policies = text.matches("kind: ValidatingAdmissionPolicy\n").count();
        assert_eq!(policies, if expected { 2 } else { 0 }, "{version}");
    }
    assert!(curfew_chart::template(&["--kube-version", "1.27.9"]).is_err());
}

#[test]
fn another_namespace_is_named_everywhere() {
    let text = curfew_chart::helm([
        "template",
        "mine",
        curfew_chart::chart().to_str().unwrap(),
        "--namespace",
        "elsewhere",
        "--set",
        "certificates.mode=cert-manager",
    ])
    .unwrap();
    for object in curfew_chart::parse(&text).unwrap() {
        let (_, namespace, name) = object.identity();
        assert!(namespace.is_empty() || namespace == "elsewhere", "{name} lies in {namespace}");
        assert!(name.contains("curfew"), "{name}");
    }
    for part in [
        "namespace: elsewhere\n        path: /mutate",
        "'system:serviceaccount:elsewhere:curfew'",
        "- curfew.elsewhere.svc",
        "inject-ca-from: elsewhere/curfew",
        "- \"elsewhere\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
