//! k6's control port in a mesh that takes nothing but its own certificates. The operator has none.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    PATIENCE_FOR_A_STAGE, Setup, Shape, Space, Strategy, containers, ended, is_running, status_of, testrun,
    with,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::testruns::apply;

under_each_strategy!(in_a_strict_mesh_a_testrun_finishes_because_its_port_is_out_of_it);

const CONTROL_PORT: &str = "curfew.dev/k6-control-port";
const ISTIO_IN: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
const ISTIO_OUT: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
const LINKERD_IN: &str = "config.linkerd.io/skip-inbound-ports";
const LINKERD_OUT: &str = "config.linkerd.io/skip-outbound-ports";

fn strict(strategy: Strategy, title: &str, shape: Shape) -> Setup {
    let setup = Setup::new(title).curfew().mesh(shape).option("strict", "true");
    setup.under(strategy)
}

/// A TestRun of one runner, whose pods get these annotations by hand.
fn with_runner(annotations: Value) -> Value {
    with(testrun("one"), |testrun| {
        testrun["spec"] = json!({"parallelism": 1, "script": {"configMap": {"name": "k6-scripts", "file": "test.js"}},
            "runner": {"metadata": {"annotations": annotations}}});
    })
}

async fn pod_of(space: &Space, job: &str) -> Result<Pod> {
    space.pods_of(job).await?.pop().with_context(|| format!("{job} has no pod"))
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.annotations().get(key).map(String::as_str)
}

/// The ports an annotation of a pod lists, which has to have it.
fn listed<'a>(pod: &'a Pod, key: &str) -> Result<Vec<&'a str>> {
    let list = annotation(pod, key).with_context(|| format!("{} has no {key}", pod.name_any()))?;
    Ok(list.split(',').collect())
}

/// Both ends of the port are out of both meshes.
async fn bypassed(space: &Space, run: &str) -> Result<(Pod, Pod)> {
    let runner = pod_of(space, &format!("{run}-1")).await?;
    let starter = pod_of(space, &format!("{run}-starter")).await?;
    for (pod, keys) in [(&runner, [ISTIO_IN, LINKERD_IN]), (&starter, [ISTIO_OUT, LINKERD_OUT])] {
        for key in keys {
            ensure!(listed(pod, key)?.contains(&"6565"), "{}: {:?}", pod.name_any(), pod.annotations());
        }
    }
    Ok((runner, starter))
}

/// What the operator says about one TestRun of this namespace.
async fn operator_says(space: &Space, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let pods = Api::<Pod>::namespaced(space.client(), "k6-operator-system");
    let of_this = format!("{}/", space.name());
    space
        .until("the operator says why it waits", PATIENCE_FOR_A_STAGE, async || {
            let mut log = String::new();
            for pod in pods.list(&ListParams::default()).await? {
                log += &pods.logs(&pod.name_any(), &Default::default()).await?;
            }
            let lines = log.lines().filter(|line| line.contains(&of_this));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            Ok(if lines.iter().any(|line| wanted(line)) { Ok(()) } else { Err(lines.last().cloned()) })
        })
        .await
}

async fn in_a_strict_mesh_a_testrun_finishes_because_its_port_is_out_of_it(strategy: Strategy) -> Result<()> {
    for shape in Shape::ALL {
        strict(strategy, "control port", shape)
            .run(async |space| {
                apply(space, "basic").await?;
                space.stage("basic", "finished").await?;
                space.all_complete(3).await?;
                space.meshed(shape).await?;
                let (runner, starter) = bypassed(space, "basic").await?;
                for pod in [runner, starter] {
                    let status = status_of(&pod).context("no status")?.to_string();
                    ensure!(status.contains("6565"), "{status}");
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn left_in_a_strict_istio_the_operator_is_refused_and_the_test_is_never_begun() -> Result<()> {
    strict(Strategy::Auto, "control port mesh", Shape::Istio)
        .annotation(CONTROL_PORT, "mesh")
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "created").await?;
            space.pod_until("basic-1", "runs", |pod| is_running(pod, "k6")).await?;
            space.stage_stays("basic", "created").await?;
            // The connection is taken, and ended: by the proxy, as k6 answers whoever reaches it.
            let refused = |line: &str| {
                line.contains("basic-service-1 service is not ready") && line.contains("reset by peer")
            };
            operator_says(space, refused).await?;
            let runner = pod_of(space, "basic-1").await?;
            ensure!(annotation(&runner, ISTIO_IN).is_none(), "{:?}", runner.annotations());
            ensure!(containers(&runner).iter().all(|c| c.state != "waiting"), "{:?}", containers(&runner));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn left_in_a_strict_linkerd_it_finishes_as_probes_are_let_in_from_anywhere() -> Result<()> {
    strict(Strategy::Auto, "control port mesh", Shape::Linkerd)
        .annotation(CONTROL_PORT, "mesh")
        .run(async |space| {
            apply(space, "basic").await?;
            space.stage("basic", "finished").await?;
            space.all_complete(3).await?;
            let runner = pod_of(space, "basic-1").await?;
            ensure!(annotation(&runner, LINKERD_IN).is_none(), "{:?}", runner.annotations());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn out_of_the_mesh_on_one_end_alone_the_test_hangs_and_nothing_says_so() -> Result<()> {
    strict(Strategy::Auto, "control port half", Shape::Istio)
        .annotation(CONTROL_PORT, "mesh")
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(with_runner(json!({ISTIO_IN: "6565"}))).await?;
            space.stage("one", "started").await?;
            let done = |pod: &_| ended(pod, "k6-curl").is_some_and(|curl| curl.exit == Some(0));
            let starter = space.pod_until("one-starter", "has told the runner to begin", done).await?;
            let log = space.log(&starter.name_any(), "k6-curl").await?;
            ensure!(log.contains("\"http_code\":503"), "{log}");
            space.job_completes("one-starter").await?;
            space.stage_stays("one", "started").await?;
            let runner = pod_of(space, "one-1").await?;
            ensure!(ended(&runner, "k6").is_none(), "{:?}", containers(&runner));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_runner_alone_cannot_ask_for_half_of_it() -> Result<()> {
    strict(Strategy::Auto, "control port runner", Shape::Istio)
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(with_runner(json!({CONTROL_PORT: "mesh"}))).await?;
            space.stage("one", "finished").await?;
            let (runner, _) = bypassed(space, "one").await?;
            let status = status_of(&runner).context("no status")?;
            let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
            let told =
                warnings.iter().any(|warning| warning.as_str().is_some_and(|w| w.contains(CONTROL_PORT)));
            ensure!(told, "{status}");
            space.all_complete(3).await
        })
        .await
}

#[tokio::test]
async fn ports_others_have_taken_out_of_the_mesh_stay_out() -> Result<()> {
    strict(Strategy::Auto, "control port merged", Shape::Istio)
        .annotation(LINKERD_IN, "9999")
        .run(async |space| {
            space.sample("scripts").await?;
            space.apply(with_runner(json!({ISTIO_IN: "8080"}))).await?;
            space.stage("one", "finished").await?;
            let (runner, _) = bypassed(space, "one").await?;
            ensure!(listed(&runner, ISTIO_IN)? == ["8080", "6565"], "{:?}", runner.annotations());
            ensure!(listed(&runner, LINKERD_IN)? == ["9999", "6565"], "{:?}", runner.annotations());
            space.all_complete(3).await
        })
        .await
}

#[tokio::test]
async fn a_kubernetes_takes_the_network_policy_users_are_given() -> Result<()> {
    Setup::new("control port network")
        .run(async |space| {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/policies/network-policy.yaml");
            space.apply_yaml(&std::fs::read_to_string(file).context(file)?).await?;
            let ask = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "k6-control-port"}});
            let rules = space.get(ask).await?.data["spec"]["ingress"].clone();
            ensure!(rules.as_array().is_some_and(|rules| rules.len() == 2), "{rules}");
            Ok(())
        })
        .await
}
