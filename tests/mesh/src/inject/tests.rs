use super::*;

fn job_pod() -> Value {
    json!({
        "metadata": { "generateName": "k6-sample-1-", "labels": { "app": "k6", "job-name": "k6-sample-1" } },
        "spec": {
            "initContainers": [{ "name": "fetch" }],
            "containers": [{
                "name": "k6",
                "ports": [{ "name": "api", "containerPort": 6565 }],
                "livenessProbe": { "httpGet": { "path": "/v1/status", "port": "api" }, "timeoutSeconds": 2 },
                "readinessProbe": { "tcpSocket": { "port": 6565 }, "periodSeconds": 3 },
            }],
            "restartPolicy": "Never",
        },
    })
}

fn mesh() -> Mesh {
    Mesh { image: "example/test-mesh:1".into(), networks: "198.18.0.0/17".into(), ..Mesh::default() }
}

fn run(annotations: Value) -> Option<Value> {
    run_on(job_pod(), annotations, json!({})).unwrap()
}

fn run_on(mut pod: Value, annotations: Value, namespace: Value) -> anyhow::Result<Option<Value>> {
    for (name, value) in annotations.as_object().unwrap() {
        pod["metadata"]["annotations"][name] = value.clone();
    }
    inject(subject(&pod, namespace.as_object()), &mesh())
}

fn subject<'a>(pod: &'a Value, namespace_annotations: Option<&'a Map<String, Value>>) -> Subject<'a> {
    Subject { pod, namespace: "load", namespace_annotations, forgetful: false }
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let list = pod["spec"][list].as_array().unwrap();
    list.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}

fn container<'a>(pod: &'a Value, list: &str, name: &str) -> &'a Value {
    find(pod, list, name).unwrap()
}

fn env<'a>(container: &'a Value, name: &str) -> &'a str {
    let env = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
    env.unwrap_or_else(|| panic!("no {name}"))["value"].as_str().unwrap()
}

#[test]
fn linkerds_proxy_comes_first_and_its_init_container_last() {
    let pod = run(json!({})).unwrap();
    assert_eq!(names(&pod, "containers"), ["linkerd-proxy", "k6"]);
    assert_eq!(names(&pod, "initContainers"), ["fetch", "linkerd-init"]);
    let proxy = container(&pod, "containers", "linkerd-proxy");
    assert_eq!(env(proxy, "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED"), "false");
    assert_eq!(env(proxy, "LINKERD2_PROXY_ADMIN_LISTEN_ADDR"), "0.0.0.0:4191");
    assert_eq!(env(proxy, "LINKERD2_PROXY_INBOUND_PORTS"), "6565");
    assert_eq!(proxy["lifecycle"]["postStart"]["exec"]["command"][0], "/usr/lib/linkerd/linkerd-await");
    assert_eq!(pod["metadata"]["annotations"]["linkerd.io/inject"], "enabled");
}

#[test]
fn linkerds_settings_come_from_the_pod_or_its_namespace() {
    let namespace =
        json!({ "config.linkerd.io/proxy-admin-shutdown": "enabled", "mesh.test/strict": "true" });
    let annotations = json!({
        "config.linkerd.io/skip-inbound-ports": "6565", "config.linkerd.io/shutdown-grace-period": "5s",
    });
    let pod = run_on(job_pod(), annotations, namespace).unwrap().unwrap();
    let proxy = container(&pod, "containers", "linkerd-proxy");
    assert_eq!(env(proxy, "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED"), "true");
    assert_eq!(env(proxy, "LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD"), "5s");
    assert_eq!(env(proxy, "TEST_MESH_STRICT"), "true");
    assert_eq!(env(proxy, "TEST_MESH_PROBES"), r#"[{"port":6565,"path":"/v1/status"}]"#);
    assert_eq!(pod["metadata"]["annotations"]["config.linkerd.io/proxy-admin-shutdown"], "enabled");
    let args = container(&pod, "initContainers", "linkerd-init")["args"].to_string();
    // In place of the default, not beside it.
    assert!(args.contains(r#""4190,4191,6565""#) && args.contains(r#""4567,4568""#), "{args}");
}

#[test]
fn istios_proxy_comes_last_and_its_init_container_too() {
    let pod = run(json!({ "mesh.test/shape": "istio" })).unwrap();
    assert_eq!(names(&pod, "containers"), ["k6", "istio-proxy"]);
    assert_eq!(names(&pod, "initContainers"), ["fetch", "istio-init"]);
    let status = pod["metadata"]["annotations"]["sidecar.istio.io/status"].as_str().unwrap();
    assert!(
        status.starts_with(r#"{"initContainers":["istio-init"],"containers":["istio-proxy"],"#),
        "{status}"
    );
    let proxy = container(&pod, "containers", "istio-proxy");
    assert!(proxy.get("lifecycle").is_none());
    assert_eq!(proxy["args"][1], "sidecar");
}

#[test]
fn istio_has_the_apps_probes_ask_its_agent() {
    let pod = run(json!({ "mesh.test/shape": "istio" })).unwrap();
    let k6 = container(&pod, "containers", "k6");
    assert_eq!(
        k6["livenessProbe"].to_string(),
        r#"{"httpGet":{"path":"/app-health/k6/livez","port":15020,"scheme":"HTTP"},"timeoutSeconds":2}"#
    );
    assert_eq!(k6["readinessProbe"]["httpGet"]["path"], "/app-health/k6/readyz");
    assert!(k6["readinessProbe"].get("tcpSocket").is_none());
    let probers = env(container(&pod, "containers", "istio-proxy"), "ISTIO_KUBE_APP_PROBERS");
    let probers: Value = serde_json::from_str(probers).unwrap();
    assert_eq!(probers["/app-health/k6/livez"]["httpGet"], json!({ "path": "/v1/status", "port": 6565 }));
    assert_eq!(probers["/app-health/k6/readyz"]["tcpSocket"]["port"], 6565);
}

#[test]
fn istio_holds_the_app_back_when_asked() {
    let pod = run(json!({
        "mesh.test/shape": "istio", "proxy.istio.io/config": "{ \"holdApplicationUntilProxyStarts\": true }",
    }))
    .unwrap();
    assert_eq!(names(&pod, "containers"), ["istio-proxy", "k6"]);
    assert_eq!(pod["spec"]["containers"][0]["lifecycle"]["postStart"]["exec"]["command"][1], "wait");
}

#[test]
fn istio_leaves_the_excluded_ports_alone() {
    let pod = run(json!({
        "mesh.test/shape": "istio",
        "traffic.sidecar.istio.io/excludeInboundPorts": "6565",
        "traffic.sidecar.istio.io/excludeOutboundPorts": "6565,80",
    }))
    .unwrap();
    let args = container(&pod, "initContainers", "istio-init")["args"].to_string();
    assert!(args.contains(r#""-d","15090,15021,6565,15020","-o","6565,80","--log"#), "{args}");
}

#[test]
fn a_mesh_that_can_injects_natively_on_request_and_no_other() {
    for (request, shape, proxy, init) in [
        ("config.linkerd.io/proxy-enable-native-sidecar", "linkerd", "linkerd-proxy", "linkerd-init"),
        ("config.alpha.linkerd.io/proxy-enable-native-sidecar", "linkerd", "linkerd-proxy", "linkerd-init"),
        ("sidecar.istio.io/nativeSidecar", "istio", "istio-proxy", "istio-init"),
    ] {
        let annotations = json!({ "mesh.test/shape": shape, request: "true" });
        let classic = run(annotations.clone()).unwrap();
        assert_eq!(names(&classic, "initContainers"), ["fetch", init]);
        let mut annotations = annotations;
        annotations["mesh.test/native-capable"] = json!("true");
        let native = run(annotations).unwrap();
        assert_eq!(names(&native, "initContainers"), [init, proxy, "fetch"]);
        assert_eq!(names(&native, "containers"), ["k6"]);
        let sidecar = container(&native, "initContainers", proxy);
        assert_eq!(sidecar["restartPolicy"], "Always");
        assert!(sidecar["startupProbe"].is_object() && sidecar["lifecycle"].get("postStart").is_none());
    }
}

#[test]
fn a_second_run_changes_nothing() {
    for shape in ["linkerd", "istio"] {
        let once = run(json!({ "mesh.test/shape": shape })).unwrap();
        assert!(run_on(once, json!({}), json!({})).unwrap().is_none(), "{shape}");
    }
}

/// The pod with its proxy made native by somebody else.
fn converted(shape: &str, proxy: &str) -> Value {
    let mut pod = run(json!({ "mesh.test/shape": shape })).unwrap();
    let containers = list(&mut pod, "containers").unwrap();
    let at = containers.iter().position(|container| container["name"] == proxy).unwrap();
    let mut moved = containers.remove(at);
    moved["restartPolicy"] = json!("Always");
    list(&mut pod, "initContainers").unwrap().push(moved);
    pod
}

#[test]
fn linkerd_accepts_a_conversion_and_istio_only_with_its_annotation() {
    assert!(run_on(converted("linkerd", "linkerd-proxy"), json!({}), json!({})).unwrap().is_none());
    let pod = converted("istio", "istio-proxy");
    let again = run_on(pod.clone(), json!({}), json!({})).unwrap().unwrap();
    assert_eq!(names(&again, "containers"), ["k6", "istio-proxy"]);
    assert_eq!(names(&again, "initContainers"), ["fetch", "istio-init", "istio-proxy"]);
    assert!(run_on(pod, json!({ "sidecar.istio.io/nativeSidecar": "true" }), json!({})).unwrap().is_none());
}

#[test]
fn a_forgetful_injector_adds_a_second_proxy_to_a_converted_pod_and_only_there() {
    for (shape, proxy) in [("linkerd", "linkerd-proxy"), ("istio", "istio-proxy")] {
        let mut pod = converted(shape, proxy);
        pod["metadata"]["annotations"]["sidecar.istio.io/nativeSidecar"] = json!("true");
        let again = inject(Subject { forgetful: true, ..subject(&pod, None) }, &mesh()).unwrap().unwrap();
        for list in ["containers", "initContainers"] {
            assert!(find(&again, list, proxy).is_some(), "{shape}: {list}");
        }
        let classic = run(json!({ "mesh.test/shape": shape })).unwrap();
        let again = inject(Subject { forgetful: true, ..subject(&classic, None) }, &mesh()).unwrap();
        assert!(again.is_none(), "{shape}");
    }
}

#[test]
fn a_pod_can_stay_out() {
    assert!(run(json!({ "linkerd.io/inject": "disabled" })).is_none());
    assert!(run(json!({ "mesh.test/shape": "istio", "sidecar.istio.io/inject": "false" })).is_none());
    let mut host = job_pod();
    host["spec"]["hostNetwork"] = json!(true);
    assert!(run_on(host, json!({}), json!({})).unwrap().is_none());
}

#[test]
fn without_an_init_container_the_pod_fits_a_restricted_namespace() {
    for (shape, proxy) in [("linkerd", "linkerd-proxy"), ("istio", "istio-proxy")] {
        let pod = run(json!({ "mesh.test/shape": shape, "mesh.test/init": "false" })).unwrap();
        assert_eq!(names(&pod, "initContainers"), ["fetch"]);
        let context = &container(&pod, "containers", proxy)["securityContext"];
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(context["allowPrivilegeEscalation"], false);
    }
}

#[test]
fn a_proxy_that_shall_run_out_of_memory_has_a_limit() {
    for (shape, proxy) in [("linkerd", "linkerd-proxy"), ("istio", "istio-proxy")] {
        let pod = run(json!({ "mesh.test/shape": shape, "mesh.test/oom-after": "3s" })).unwrap();
        assert_eq!(container(&pod, "containers", proxy)["resources"]["limits"]["memory"], "192Mi");
    }
}

#[test]
fn the_patch_leads_from_the_pod_to_the_injected_one() {
    for shape in ["linkerd", "istio"] {
        let mut pod = job_pod();
        pod["metadata"]["annotations"] = json!({ "mesh.test/shape": shape });
        let injected = inject(subject(&pod, None), &mesh()).unwrap().unwrap();
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &json_patch::diff(&pod, &injected)).unwrap();
        assert_eq!(patched, injected);
    }
}
