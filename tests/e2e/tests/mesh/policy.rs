//! `curfew policy`: meshes inject native sidecars because the API server asks them to, and no webhook of Curfew's is
//! called.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use curfew::{
    admission::{Engine, Outcome, Surroundings},
    config::Config,
    plan::{Kubelets, Namespace, Support},
    policy,
};
use curfew_e2e::{Setup, Shape, Space, image, job, status_of, with};
use k8s_openapi::api::core::v1::{Namespace as Object, Pod};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

/// The label in place of Curfew's own, which would have its webhook called too.
const LABEL: &str = "policy.e2e.curfew.dev/inject";
/// Istio's switch.
const ISTIO: &str = "sidecar.istio.io/nativeSidecar";
/// Linkerd's, by its newest name.
const LINKERD: &str = "config.linkerd.io/proxy-enable-native-sidecar";
/// How long the API server may take to notice a policy.
const NOTICED: Duration = Duration::from_secs(60);

type Annotations = BTreeMap<String, String>;

/// Puts the policy in force for this namespace alone. It goes with the namespace, which owns it.
async fn in_force(space: &Space) -> Result<()> {
    let name = space.name();
    let owner = Api::<Object>::all(space.client()).get(name).await?.metadata.uid;
    let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": owner}]);
    let text = policy::manifest(&Config::builtin()?).replace("curfew.dev/inject", LABEL);
    for mut object in serde_saphyr::from_multiple::<Value>(&text)? {
        let own = format!("{}-{name}", object["metadata"]["name"].as_str().context("a name")?);
        object["metadata"]["name"] = json!(own);
        object["metadata"]["ownerReferences"] = owner.clone();
        if object["kind"] == "MutatingAdmissionPolicy" {
            let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name]});
            let selector = &mut object["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"];
            selector.as_array_mut().context("a selector")?.push(here);
        } else {
            let policy = object["spec"]["policyName"].as_str().context("a policy")?;
            object["spec"]["policyName"] = json!(format!("{policy}-{name}"));
        }
        space.apply(object).await?;
    }
    space
        .until("the policy is in force", NOTICED, async || {
            let labelled = with(pod(), |pod| pod["metadata"]["labels"] = json!({LABEL: "enabled"}));
            let annotations = annotations_of(&admitted(space, labelled).await?);
            Ok(if annotations.contains_key(ISTIO) { Ok(()) } else { Err(annotations) })
        })
        .await
}

/// A pod whose command is its image's, so that Curfew has no use for shutdown endpoints.
fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": image("test-busybox")}]}})
}

fn annotated(annotations: Value) -> Value {
    with(pod(), |pod| pod["metadata"]["annotations"] = annotations)
}

/// The pod as the API server would store it.
async fn admitted(space: &Space, pod: Value) -> Result<Pod> {
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    Ok(space.api::<Pod>().create(&dry_run, &serde_json::from_value(pod)?).await?)
}

/// What meshes read of it.
fn annotations_of(pod: &Pod) -> Annotations {
    let all = pod.metadata.annotations.clone().unwrap_or_default();
    all.into_iter().filter(|(key, _)| !key.starts_with("curfew.dev/")).collect()
}

/// The same as the webhook would have it, where every kubelet knows native sidecars. What a pod names that is more than
/// switches is not for a policy to do.
fn planned(namespace: &Annotations, pod: &Value) -> Result<Annotations> {
    if ["native", "await"].iter().any(|named| pod["metadata"]["annotations"]["curfew.dev/strategy"] == *named)
    {
        return Ok(annotations_of(&serde_json::from_value(pod.clone())?));
    }
    let namespace = Namespace { annotations: namespace.clone(), labelled: true, unread: None };
    let kubelets = Kubelets { native: Support::Yes, startup_probes: Support::Yes };
    let around = Surroundings { namespace: &namespace, kubelets: &kubelets, watch: false };
    match Engine::new(Config::builtin()?).decide(pod.clone(), None, around, None) {
        Outcome::Planned { patched, .. } => Ok(annotations_of(&serde_json::from_value(patched)?)),
        Outcome::Untouched(_) => Ok(annotations_of(&serde_json::from_value(pod.clone())?)),
        Outcome::Failed(reason) => bail!(reason),
    }
}

fn has_native(pod: &Pod, shape: Shape) -> bool {
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    init.into_iter().any(|c| c.name == shape.proxy() && c.restart_policy.as_deref() == Some("Always"))
}

fn has_classic(pod: &Pod, shape: Shape) -> bool {
    pod.spec.iter().flat_map(|spec| &spec.containers).any(|c| c.name == shape.proxy())
}

#[tokio::test]
async fn a_job_completes_under_a_mesh_that_knows_its_switch_and_no_webhook_was_asked() -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("policy")
            .label(LABEL, "enabled")
            .mesh(shape)
            .option("native-capable", "true")
            .run(async |space| {
                in_force(space).await?;
                space.apply(job("work", "true")).await?;
                space.job_completes("work").await?;
                let pod = space.pods_of("work").await?.remove(0);
                ensure!(has_native(&pod, shape) && !has_classic(&pod, shape), "{:?}", pod.spec);
                ensure!(status_of(&pod).is_none(), "Curfew's webhook was asked");
                // It is the policy that does it.
                let out = with(pod_of_a_job(), |pod| pod["metadata"]["labels"] = json!({LABEL: "disabled"}));
                let out = admitted(space, out).await?;
                ensure!(has_classic(&out, shape) && !has_native(&out, shape), "{:?}", out.spec);
                Ok(())
            })
            .await?;
    }
    Ok(())
}

fn pod_of_a_job() -> Value {
    with(pod(), |pod| pod["spec"]["containers"][0]["command"] = json!(["true"]))
}

#[tokio::test]
async fn who_wants_a_classic_sidecar_keeps_it() -> Result<()> {
    for (shape, switch, other) in [(Shape::Istio, ISTIO, LINKERD), (Shape::Linkerd, LINKERD, ISTIO)] {
        Setup::new("policy refused")
            .label(LABEL, "enabled")
            .mesh(shape)
            .option("native-capable", "true")
            .run(async |space| {
                in_force(space).await?;
                let pod = admitted(space, annotated(json!({switch: "false"}))).await?;
                let annotations = annotations_of(&pod);
                ensure!(annotations.get(switch).is_some_and(|value| value == "false"), "{annotations:?}");
                // Another mesh is asked all the same.
                ensure!(annotations.get(other).is_some_and(|value| value == "true"), "{annotations:?}");
                ensure!(has_classic(&pod, shape) && !has_native(&pod, shape), "{:?}", pod.spec);
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_sets_what_the_webhook_would_set() -> Result<()> {
    let of_namespace = Annotations::from([
        ("config.beta.linkerd.io/proxy-enable-native-sidecar".to_owned(), "disabled".to_owned()),
        ("dapr.io/enable-native-sidecar".to_owned(), "true".to_owned()),
    ]);
    let pods = [
        pod(),
        annotated(json!({ISTIO: "false"})),
        annotated(json!({ISTIO: "true", "mine": "stays"})),
        annotated(json!({"config.linkerd.io/shutdown-grace-period": "30s"})),
        annotated(json!({"config.alpha.linkerd.io/proxy-enable-native-sidecar": "true"})),
        annotated(json!({"config.beta.linkerd.io/proxy-enable-native-sidecar": "true"})),
        annotated(json!({"curfew.dev/strategy": "auto"})),
        annotated(json!({"curfew.dev/strategy": " switch "})),
        annotated(json!({"curfew.dev/strategy": "native"})),
        annotated(json!({"curfew.dev/strategy": "await"})),
        annotated(json!({"curfew.dev/strategy": "off"})),
        with(pod(), |pod| pod["spec"]["restartPolicy"] = json!("Always")),
        with(pod(), |pod| pod["spec"]["restartPolicy"] = json!("OnFailure")),
        with(pod(), |pod| pod["spec"]["hostNetwork"] = json!(true)),
        with(pod(), |pod| pod["spec"]["os"] = json!({"name": "windows"})),
        with(pod(), |pod| pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"})),
    ];
    for namespace in [Annotations::new(), of_namespace] {
        let setup = Setup::new("policy parity").label(LABEL, "enabled");
        let setup = namespace.iter().fold(setup, |setup, (key, value)| setup.annotation(key, value));
        setup
            .run(async |space| {
                in_force(space).await?;
                let mut touched = 0;
                for pod in &pods {
                    let (asked, expected) = (admitted(space, pod.clone()).await?, planned(&namespace, pod)?);
                    let found = annotations_of(&asked);
                    ensure!(found == expected, "{pod}: {found:?}, not {expected:?}");
                    touched += usize::from(json!(found) != pod["metadata"]["annotations"]);
                }
                ensure!(touched > 5, "only {touched} pods were touched");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn its_labels_are_those_of_the_webhook() -> Result<()> {
    let labelled = |value: &str| with(pod(), |pod| pod["metadata"]["labels"] = json!({LABEL: value}));
    // Of the namespace; and whether each of these pods is then asked about.
    let cases = [
        ("enabled", [true, true, false]),
        ("other", [false, true, false]),
        ("disabled", [false, false, false]),
    ];
    for (of_namespace, expected) in cases {
        Setup::new("policy labels")
            .run(async |space| {
                // Before its label says so, none of its pods may be asked about.
                in_force(space).await?;
                let labels = json!({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": space.name(), "labels": {LABEL: of_namespace}}});
                space.apply(labels).await?;
                for (pod, expected) in
                    [pod(), labelled("enabled"), labelled("disabled")].into_iter().zip(expected)
                {
                    space
                        .until(
                            &format!("{of_namespace}: {pod} is asked about: {expected}"),
                            NOTICED,
                            async || {
                                let set = annotations_of(&admitted(space, pod.clone()).await?);
                                Ok(if set.is_empty() == expected { Err(set) } else { Ok(()) })
                            },
                        )
                        .await?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}
