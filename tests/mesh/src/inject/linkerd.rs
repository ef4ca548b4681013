//! Linkerd's shape.

use serde_json::{Value, json};

use super::{Mesh, Subject, app_ports, field, find, list, metadata, own_env, probes};
use crate::options::{Annotations, Options};

const PROXY: &str = "linkerd-proxy";
const INIT: &str = "linkerd-init";
/// Linkerd's default for both directions; an annotation takes its place.
const SKIPPED: &str = "4567,4568";
/// One for each age of Linkerd; the newest wins.
const NATIVE: [&str; 3] = [
    "config.linkerd.io/proxy-enable-native-sidecar",
    "config.beta.linkerd.io/proxy-enable-native-sidecar",
    "config.alpha.linkerd.io/proxy-enable-native-sidecar",
];

/// The pod with linkerd-proxy; none where Linkerd leaves it alone.
pub(super) fn inject(
    subject: Subject<'_>,
    annotations: Annotations<'_>,
    options: &Options,
    mesh: &Mesh,
) -> anyhow::Result<Option<Value>> {
    let classic = find(subject.pod, "containers", PROXY).is_some();
    if classic || annotations.get("linkerd.io/inject") == Some("disabled") {
        return Ok(None);
    }
    if find(subject.pod, "initContainers", PROXY).is_some() {
        if !subject.forgetful {
            return Ok(None);
        }
        let mut pod = subject.pod.clone();
        let again = proxy(&pod, annotations, options, mesh);
        list(&mut pod, "containers")?.insert(0, again);
        return Ok(Some(pod));
    }
    let native =
        options.native_capable && NATIVE.iter().find_map(|name| annotations.get(name)) == Some("true");
    let proxy_first = annotations.get("config.linkerd.io/proxy-await") != Some("disabled");

    let mut pod = subject.pod.clone();
    labels_and_annotations(&mut pod, subject)?;
    list(&mut pod, "volumes")?.extend(volumes());
    let mut proxy = proxy(&pod, annotations, options, mesh);
    let init = options.init.then(|| init(annotations, mesh));
    if native {
        proxy["restartPolicy"] = json!("Always");
        if proxy_first {
            let ready = json!({ "path": "/ready", "port": 4191 });
            proxy["startupProbe"] = json!({ "httpGet": ready, "periodSeconds": 1, "failureThreshold": 120 });
        }
        list(&mut pod, "initContainers")?.splice(0..0, init.into_iter().chain([proxy]));
        return Ok(Some(pod));
    }
    if let Some(init) = init {
        list(&mut pod, "initContainers")?.push(init);
    }
    if proxy_first {
        let wait = json!(["/usr/lib/linkerd/linkerd-await", "--timeout=2m", "--port=4191"]);
        proxy["lifecycle"] = json!({ "postStart": { "exec": { "command": wait } } });
        list(&mut pod, "containers")?.insert(0, proxy);
    } else {
        list(&mut pod, "containers")?.push(proxy);
    }
    Ok(Some(pod))
}

fn labels_and_annotations(pod: &mut Value, subject: Subject<'_>) -> anyhow::Result<()> {
    let labels = metadata(pod, "labels")?;
    labels.insert("linkerd.io/control-plane-ns".into(), json!("linkerd"));
    labels.insert("linkerd.io/workload-ns".into(), json!(subject.namespace));
    let annotations = metadata(pod, "annotations")?;
    // Linkerd writes the namespace's settings onto the pod.
    for (name, value) in subject.namespace_annotations.into_iter().flatten() {
        if name.starts_with("config.linkerd.io/") && !annotations.contains_key(name) {
            annotations.insert(name.clone(), value.clone());
        }
    }
    annotations.insert("linkerd.io/created-by".into(), json!("linkerd/proxy-injector test-mesh"));
    annotations.insert("linkerd.io/inject".into(), json!("enabled"));
    annotations.insert("linkerd.io/proxy-version".into(), json!("test-mesh"));
    Ok(())
}

fn volumes() -> Vec<Value> {
    let token = json!({
        "audience": "identity.l5d.io", "expirationSeconds": 86400, "path": "linkerd-identity-token"
    });
    vec![
        json!({ "name": "linkerd-proxy-init-xtables-lock", "emptyDir": {} }),
        json!({ "name": "linkerd-identity-end-entity", "emptyDir": { "medium": "Memory" } }),
        json!({ "name": "linkerd-identity-token", "projected": { "sources": [{ "serviceAccountToken": token }] } }),
    ]
}

fn init(annotations: Annotations<'_>, mesh: &Mesh) -> Value {
    let inbound = annotations.get("config.linkerd.io/skip-inbound-ports").unwrap_or(SKIPPED);
    let outbound = annotations.get("config.linkerd.io/skip-outbound-ports").unwrap_or(SKIPPED);
    json!({
        "name": INIT,
        "image": mesh.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/lib/linkerd/linkerd2-proxy-init"],
        "args": [
            "--firewall-bin-path", "iptables-nft",
            "--firewall-save-bin-path", "iptables-nft-save",
            "--ipv6=false",
            "--incoming-proxy-port", "4143",
            "--outgoing-proxy-port", "4140",
            "--proxy-uid", "2102",
            "--inbound-ports-to-ignore", format!("4190,4191,{inbound}"),
            "--outbound-ports-to-ignore", outbound,
        ],
        "resources": {},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            // As with Linkerd's `proxyInit.runAsRoot`; by default it is 65534 and the file has the capabilities.
            "runAsNonRoot": false,
            "runAsUser": 0,
            "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{ "name": "linkerd-proxy-init-xtables-lock", "mountPath": "/run" }],
    })
}

fn proxy(pod: &Value, annotations: Annotations<'_>, options: &Options, mesh: &Mesh) -> Value {
    let mut container = json!({
        "name": PROXY,
        "image": mesh.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            { "name": "linkerd-proxy", "containerPort": 4143, "protocol": "TCP" },
            { "name": "linkerd-admin", "containerPort": 4191, "protocol": "TCP" },
        ],
        "env": env(pod, annotations, options, mesh),
        "resources": {},
        "volumeMounts": [
            { "name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity" },
            { "name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens" },
        ],
        "livenessProbe": { "httpGet": { "path": "/live", "port": 4191 }, "initialDelaySeconds": 10 },
        "readinessProbe": { "httpGet": { "path": "/ready", "port": 4191 }, "initialDelaySeconds": 2 },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 2102,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    if !options.init {
        // What `restricted` namespaces ask, and a mesh without an init container is set up for.
        container["securityContext"]["capabilities"] = json!({ "drop": ["ALL"] });
    }
    if options.oom_after.is_some() {
        container["resources"] = json!({ "limits": { "memory": super::OOM_LIMIT } });
    }
    container
}

fn env(pod: &Value, annotations: Annotations<'_>, options: &Options, mesh: &Mesh) -> Vec<Value> {
    let shutdown = annotations.get("config.linkerd.io/proxy-admin-shutdown") == Some("enabled");
    let ports: Vec<_> = app_ports(pod).iter().map(|port| port["containerPort"].to_string()).collect();
    let ports = ports.join(",");
    let mut env = vec![
        field("_pod_name", "metadata.name"),
        field("_pod_ns", "metadata.namespace"),
        field("_pod_uid", "metadata.uid"),
        field("_pod_ip", "status.podIP"),
        field("_pod_nodeName", "spec.nodeName"),
        json!({ "name": "_pod_containerName", "value": PROXY }),
    ];
    let texts = [
        ("LINKERD2_PROXY_CORES", "1"),
        ("LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", if shutdown { "true" } else { "false" }),
        ("LINKERD2_PROXY_LOG", "warn,linkerd=info"),
        ("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", policy(options)),
        ("LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "0.0.0.0:4190"),
        ("LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "0.0.0.0:4191"),
        ("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR", "127.0.0.1:4140"),
        ("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS", "127.0.0.1:4140"),
        ("LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "0.0.0.0:4143"),
        ("LINKERD2_PROXY_INBOUND_PORTS", &ports),
        ("LINKERD2_PROXY_IDENTITY_DIR", "/var/run/linkerd/identity/end-entity"),
        ("LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", &mesh.ca),
    ];
    env.extend(texts.map(|(name, value)| json!({ "name": name, "value": value })));
    if let Some(grace) = annotations.get("config.linkerd.io/shutdown-grace-period") {
        env.push(json!({ "name": "LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD", "value": grace }));
    }
    // Linkerd authorizes the kubelet's probes by their paths, from wherever they come.
    let probes = Value::Array(probes::http_paths(pod)).to_string();
    env.push(json!({ "name": "TEST_MESH_PROBES", "value": probes }));
    env.extend(own_env(annotations, options, mesh));
    env
}

fn policy(options: &Options) -> &'static str {
    if options.strict { "all-authenticated" } else { "all-unauthenticated" }
}
