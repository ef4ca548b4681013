//! Istio's shape.

use serde_json::{Value, json};

use super::{Mesh, Subject, app_ports, field, find, list, metadata, own_env, probes};
use crate::options::{Annotations, Options};

const PROXY: &str = "istio-proxy";
const INIT: &str = "istio-init";
const STATUS: &str = "sidecar.istio.io/status";
const NATIVE: &str = "sidecar.istio.io/nativeSidecar";
const INJECT: &str = "sidecar.istio.io/inject";

/// The pod with istio-proxy; none where Istio leaves it alone.
pub(super) fn inject(
    subject: Subject<'_>,
    annotations: Annotations<'_>,
    options: &Options,
    mesh: &Mesh,
) -> anyhow::Result<Option<Value>> {
    let label =
        subject.pod.pointer("/metadata/labels").and_then(|labels| labels.get(INJECT)).and_then(Value::as_str);
    if label.or(annotations.of_pod(INJECT)) == Some("false") {
        return Ok(None);
    }
    let wants_native = annotations.of_pod(NATIVE) == Some("true");
    if find(subject.pod, "initContainers", PROXY).is_some() {
        if wants_native && !subject.forgetful {
            return Ok(None);
        }
        // Istio knows its own containers by list and name. One that somebody moved is not found, so that its second
        // run adds another, and the API server rejects the name that is there twice.
        let mut pod = subject.pod.clone();
        let again = proxy(&pod, annotations, options, mesh, &[]);
        list(&mut pod, "containers")?.push(again);
        return Ok(Some(pod));
    }
    if annotations.of_pod(STATUS).is_some() && find(subject.pod, "containers", PROXY).is_some() {
        return Ok(None);
    }

    let mut pod = subject.pod.clone();
    let native = wants_native && options.native_capable;
    let probers = probes::rewrite(&mut pod, annotations)?;
    let mut proxy = proxy(&pod, annotations, options, mesh, &probers);
    let init = options.init.then(|| init(annotations, mesh));
    labels_and_annotations(&mut pod, options, native)?;
    list(&mut pod, "volumes")?.splice(0..0, volumes());
    if native {
        proxy["restartPolicy"] = json!("Always");
        let drain = json!(["pilot-agent", "request", "--debug-port=15020", "POST", "drain"]);
        proxy["lifecycle"] = json!({ "preStop": { "exec": { "command": drain } } });
        list(&mut pod, "initContainers")?.splice(0..0, init.into_iter().chain([proxy]));
        return Ok(Some(pod));
    }
    if let Some(init) = init {
        list(&mut pod, "initContainers")?.push(init);
    }
    if holds(annotations) {
        proxy["lifecycle"] = json!({ "postStart": { "exec": { "command": ["pilot-agent", "wait"] } } });
        list(&mut pod, "containers")?.insert(0, proxy);
    } else {
        list(&mut pod, "containers")?.push(proxy);
    }
    Ok(Some(pod))
}

/// Whether `proxy.istio.io/config`, YAML or JSON, asks to hold the app back.
fn holds(annotations: Annotations<'_>) -> bool {
    let config = annotations.of_pod("proxy.istio.io/config").unwrap_or_default();
    let bare: String = config.chars().filter(|c| !c.is_whitespace() && !"\"'{}".contains(*c)).collect();
    bare.contains("holdApplicationUntilProxyStarts:true")
}

fn labels_and_annotations(pod: &mut Value, options: &Options, native: bool) -> anyhow::Result<()> {
    let first = pod.pointer("/spec/containers/0/name").cloned().unwrap_or_default();
    let mut names: Vec<Value> = volumes().iter().map(|volume| volume["name"].clone()).collect();
    names.retain(Value::is_string);
    let mut init = if options.init { vec![INIT] } else { Vec::new() };
    let mut containers = Vec::new();
    if native { &mut init } else { &mut containers }.push(PROXY);
    let or_null = |names: Vec<&str>| if names.is_empty() { Value::Null } else { json!(names) };
    let status = json!({
        "initContainers": or_null(init), "containers": or_null(containers), "volumes": names,
        "imagePullSecrets": null, "revision": "default",
    });
    let annotations = metadata(pod, "annotations")?;
    annotations.insert("istio.io/rev".into(), json!("default"));
    for name in ["kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container"] {
        annotations.entry(name).or_insert_with(|| first.clone());
    }
    annotations.insert(STATUS.into(), json!(status.to_string()));

    let labels = metadata(pod, "labels")?;
    let app = labels.get("app").or_else(|| labels.get("job-name")).cloned().unwrap_or(first);
    for (name, value) in [
        ("security.istio.io/tlsMode", json!("istio")),
        ("service.istio.io/canonical-name", app),
        ("service.istio.io/canonical-revision", json!("latest")),
    ] {
        labels.entry(name).or_insert(value);
    }
    Ok(())
}

fn volumes() -> Vec<Value> {
    let item = |name: &str| {
        let field = json!({ "apiVersion": "v1", "fieldPath": format!("metadata.{name}") });
        json!({ "path": name, "fieldRef": field })
    };
    let token = json!({ "audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token" });
    vec![
        json!({ "name": "workload-socket", "emptyDir": {} }),
        json!({ "name": "credential-socket", "emptyDir": {} }),
        json!({ "name": "workload-certs", "emptyDir": {} }),
        json!({ "name": "istio-envoy", "emptyDir": { "medium": "Memory" } }),
        json!({ "name": "istio-data", "emptyDir": {} }),
        json!({ "name": "istio-podinfo", "downwardAPI": { "items": [item("labels"), item("annotations")] } }),
        json!({ "name": "istio-token", "projected": { "sources": [{ "serviceAccountToken": token }] } }),
        // Istio's own is not optional; here nobody writes it into every namespace.
        json!({ "name": "istiod-ca-cert", "configMap": { "name": "istio-ca-root-cert", "optional": true } }),
        json!({ "name": "istio-ca-crl", "configMap": { "name": "istio-ca-crl", "optional": true } }),
    ]
}

fn init(annotations: Annotations<'_>, mesh: &Mesh) -> Value {
    let inbound = match annotations.of_pod("traffic.sidecar.istio.io/excludeInboundPorts") {
        Some(ports) if !ports.trim().is_empty() => format!("15090,15021,{},15020", ports.trim()),
        _ => "15090,15021,15020".to_owned(),
    };
    let mut args = json!([
        "istio-iptables",
        "-p",
        "15001",
        "-z",
        "15006",
        "-u",
        "1337",
        "-m",
        "REDIRECT",
        "-i",
        "*",
        "-x",
        "",
        "-b",
        "*",
        "-d",
        inbound,
        "--log_output_level=default:info"
    ]);
    if let (Some(args), Some(ports)) =
        (args.as_array_mut(), annotations.of_pod("traffic.sidecar.istio.io/excludeOutboundPorts"))
    {
        args.splice(args.len() - 1..args.len() - 1, [json!("-o"), json!(ports)]);
    }
    json!({
        "name": INIT,
        "image": mesh.image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "resources": resources("1Gi"),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] },
            "readOnlyRootFilesystem": false,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
        },
    })
}

fn resources(memory: &str) -> Value {
    json!({ "limits": { "cpu": "2", "memory": memory }, "requests": { "cpu": "10m", "memory": "64Mi" } })
}

fn proxy(
    pod: &Value,
    annotations: Annotations<'_>,
    options: &Options,
    mesh: &Mesh,
    probers: &[(String, Value)],
) -> Value {
    let ready = json!({ "path": "/healthz/ready", "port": 15021 });
    let mut container = json!({
        "name": PROXY,
        "image": mesh.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning",
            "--proxyComponentLogLevel=misc:error", "--log_output_level=default:info"
        ],
        "ports": [{ "name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP" }],
        "env": env(pod, annotations, options, mesh, probers),
        "resources": resources(if options.oom_after.is_some() { super::OOM_LIMIT } else { "1Gi" }),
        "volumeMounts": [
            { "name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds" },
            { "name": "credential-socket", "mountPath": "/var/run/secrets/credential-uds" },
            { "name": "workload-certs", "mountPath": "/var/run/secrets/workload-spiffe-credentials" },
            { "name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio" },
            { "name": "istio-ca-crl", "mountPath": "/var/run/secrets/istio/crl" },
            { "name": "istio-data", "mountPath": "/var/lib/istio/data" },
            { "name": "istio-envoy", "mountPath": "/etc/istio/proxy" },
            { "name": "istio-token", "mountPath": "/var/run/secrets/tokens" },
            { "name": "istio-podinfo", "mountPath": "/etc/istio/pod" },
        ],
        "readinessProbe": { "httpGet": ready, "timeoutSeconds": 3, "periodSeconds": 15, "failureThreshold": 4 },
        "startupProbe": { "httpGet": ready, "timeoutSeconds": 3, "periodSeconds": 1, "failureThreshold": 600 },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": 1337,
            "runAsNonRoot": true,
            "runAsUser": 1337,
        },
    });
    if !options.init {
        // What `restricted` namespaces ask, and a mesh without an init container is set up for.
        container["securityContext"]["seccompProfile"] = json!({ "type": "RuntimeDefault" });
    }
    container
}

fn env(
    pod: &Value,
    annotations: Annotations<'_>,
    options: &Options,
    mesh: &Mesh,
    probers: &[(String, Value)],
) -> Vec<Value> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<_> = containers.filter_map(|container| container["name"].as_str()).collect();
    let config = annotations.of_pod("proxy.istio.io/config").unwrap_or("{}\n");
    let text = |name: &str, value: &str| json!({ "name": name, "value": value });
    let mut env = vec![
        text("PILOT_CERT_PROVIDER", "istiod"),
        text("CA_ADDR", "istiod.istio-system.svc:15012"),
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        field("HOST_IP", "status.hostIP"),
        text("PROXY_CONFIG", config),
        text("ISTIO_META_POD_PORTS", &Value::Array(app_ports(pod)).to_string()),
        text("ISTIO_META_APP_CONTAINERS", &names.join(",")),
        text("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        text("ISTIO_META_INTERCEPTION_MODE", "REDIRECT"),
        text("ISTIO_META_MESH_ID", "cluster.local"),
        text("TRUST_DOMAIN", "cluster.local"),
    ];
    if !probers.is_empty() {
        let probers: serde_json::Map<_, _> = probers.iter().cloned().collect();
        env.push(text("ISTIO_KUBE_APP_PROBERS", &Value::Object(probers).to_string()));
    }
    env.extend(own_env(annotations, options, mesh));
    env
}
