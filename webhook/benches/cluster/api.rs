//! An API server as far as the watches go: lists by the page, and watches that tell of the nodes' heartbeats.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::sleep};

/// What is in the cluster, each object as JSON.
struct Cluster {
    namespaces: Vec<String>,
    nodes: Vec<String>,
}

/// A kubelet writes its node's status at least this often, whether anything changed or not.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// Serves a cluster of that many namespaces, one of which has that name, and nodes, until the process ends.
pub(crate) async fn serve(own: &str, namespaces: usize, nodes: usize) -> anyhow::Result<SocketAddr> {
    let names = (1..namespaces).map(|number| format!("team-{number:05}")).chain([own.to_owned()]);
    let cluster = Cluster {
        namespaces: names.map(|name| namespace(&name)).collect(),
        nodes: (0..nodes).map(node).collect(),
    };
    let cluster = Arc::new(cluster);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let cluster = Arc::clone(&cluster);
            let service = service_fn(move |request| {
                let response = answer(&cluster, &request);
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

fn answer(cluster: &Arc<Cluster>, request: &Request<Incoming>) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let nodes = request.uri().path() == "/api/v1/nodes";
    match (request.uri().path(), parameter("watch")) {
        ("/api/v1/nodes", Some(_)) => Response::new(heartbeats(Arc::clone(cluster))),
        ("/api/v1/namespaces", Some(_)) => {
            Response::new(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()))
        }
        ("/api/v1/nodes" | "/api/v1/namespaces", None) => {
            let number = |name| parameter(name).and_then(|number| number.parse::<usize>().ok());
            let items = if nodes { &cluster.nodes } else { &cluster.namespaces };
            let kind =
                if nodes { ("v1", "NodeList") } else { ("meta.k8s.io/v1", "PartialObjectMetadataList") };
            Response::new(Body::from(page(kind, items, number("continue"), number("limit"))))
        }
        _ => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response
        }
    }
}

fn page(kind: (&str, &str), items: &[String], from: Option<usize>, limit: Option<usize>) -> String {
    let from = from.unwrap_or_default().min(items.len());
    let end = (from + limit.unwrap_or(items.len())).min(items.len());
    let next = if end < items.len() { end.to_string() } else { String::new() };
    let ((version, kind), items) = (kind, items[from..end].join(","));
    format!(
        r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{"resourceVersion":"7","continue":"{next}"}},"items":[{items}]}}"#
    )
}

/// One node after another, so that each has its turn once in [`HEARTBEAT`].
fn heartbeats(cluster: Arc<Cluster>) -> Body {
    if cluster.nodes.is_empty() {
        return Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    }
    let every = HEARTBEAT / cluster.nodes.len() as u32;
    let events = stream::iter(0..).then(move |turn: usize| {
        let node = &cluster.nodes[turn % cluster.nodes.len()];
        let event = format!("{{\"type\":\"MODIFIED\",\"object\":{node}}}\n");
        async move {
            sleep(every).await;
            Ok::<_, Infallible>(Bytes::from(event))
        }
    });
    Body::from_stream(events)
}

/// As a platform makes them: labelled for a mesh, applied by hand once, and owned by three managers.
fn namespace(name: &str) -> String {
    let fields = r#""f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{},"f:linkerd.io/inject":{},"f:config.linkerd.io/proxy-cpu-request":{}},"f:labels":{".":{},"f:curfew.dev/inject":{},"f:kubernetes.io/metadata.name":{},"f:team":{}}}"#;
    let manager = |manager: &str| {
        format!(
            r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{{fields}}}}}"#
        )
    };
    let managers = ["kubectl-client-side-apply", "argocd-controller", "rancher"].map(manager).join(",");
    let applied = format!(
        r#"{{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{{\"annotations\":{{\"linkerd.io/inject\":\"enabled\"}},\"labels\":{{\"curfew.dev/inject\":\"enabled\",\"team\":\"{name}\"}},\"name\":\"{name}\"}}}}"#
    );
    format!(
        r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{{"name":"{name}","uid":"c0347736-4ec3-472d-80e9-738dd07f6d65","resourceVersion":"7","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"curfew.dev/inject":"enabled","kubernetes.io/metadata.name":"{name}","team":"{name}"}},"annotations":{{"linkerd.io/inject":"enabled","config.linkerd.io/proxy-cpu-request":"100m","kubectl.kubernetes.io/last-applied-configuration":"{applied}"}},"managedFields":[{managers}]}}}}"#
    )
}

/// With fifty images, as many as a kubelet lists, each by digest and by tag.
fn node(number: usize) -> String {
    let image = |image: usize| {
        let name = format!("registry.example.com/platform/team-{image}/service-{image}");
        let size = 123_456_789 + image;
        format!(
            r#"{{"names":["{name}@sha256:{number:032x}{image:032x}","{name}:v1.{image}.{number}"],"sizeBytes":{size}}}"#
        )
    };
    let images = (0..50).map(image).collect::<Vec<_>>().join(",");
    let condition = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","status":"False","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"KubeletHasNo{kind}","message":"kubelet has no {kind}"}}"#
        )
    };
    let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition).join(",");
    let fields = r#"{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{"f:lastHeartbeatTime":{},"f:status":{}}},"f:images":{}}}"#;
    format!(
        r#"{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"ip-10-{}-{}.compute.internal","uid":"c0347736-4ec3-472d-80e9-738dd07f6d65","resourceVersion":"8","labels":{{"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","node.kubernetes.io/instance-type":"m7i.4xlarge","topology.kubernetes.io/zone":"eu-central-1a"}},"annotations":{{"volumes.kubernetes.io/controller-managed-attach-detach":"true"}},"managedFields":[{{"manager":"kubelet","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{fields},"subresource":"status"}}]}},"spec":{{"podCIDR":"10.0.0.0/24","providerID":"aws:///eu-central-1a/i-{number:017x}"}},"status":{{"capacity":{{"cpu":"16","memory":"65000000Ki","pods":"110"}},"conditions":[{conditions}],"nodeInfo":{{"machineID":"ec2{number:029x}","kernelVersion":"6.12.0","osImage":"Linux","containerRuntimeVersion":"containerd://2.1.4","kubeletVersion":"v1.36.3-eks-113cf36","kubeProxyVersion":"","operatingSystem":"linux","architecture":"amd64"}},"images":[{images}]}}}}"#,
        number / 250,
        number % 250
    )
}
