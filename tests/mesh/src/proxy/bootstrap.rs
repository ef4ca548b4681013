//! Envoy's configuration: one listener for what comes in, one for what goes out, all of it static.

use std::path::Path;

use serde_json::{Value, json};

use super::settings::Settings;
use crate::options::Shape;

/// How one proxy tells another that it is one of the mesh: by ALPN, as Istio's do. The one for HTTP is a word of its
/// own, because what is inside TLS cannot be told otherwise.
const ALPN_TCP: &str = "test-mesh";
const ALPN_HTTP: &str = "test-mesh-http";
/// What the http_inspector finds in plain text.
const HTTP: [&str; 2] = ["http/1.0", "http/1.1"];

/// The whole bootstrap.
pub(super) fn config(settings: &Settings, admin_socket: &Path) -> Value {
    let tls = |alpn| Some(client_tls(settings, alpn));
    let mut clusters = vec![original("plain", None)];
    if settings.strict {
        clusters.extend([original("mesh-tcp", tls(ALPN_TCP)), original("mesh-http", tls(ALPN_HTTP))]);
    }
    // Who connects to a listener's own port would be sent there again and again.
    clusters.push(json!({ "name": "nowhere", "type": "STATIC", "connect_timeout": "1s" }));
    json!({
        "node": { "id": "test-mesh", "cluster": "test-mesh" },
        "admin": { "address": { "pipe": { "path": admin_socket } } },
        "static_resources": { "listeners": [outbound(settings), inbound(settings)], "clusters": clusters },
    })
}

fn outbound(settings: &Settings) -> Value {
    let (address, port) = settings.outbound;
    let mut chains = vec![nowhere(port)];
    if settings.strict {
        let networks = settings.networks.iter();
        let ranges: Vec<_> = networks
            .map(|(address, length)| json!({ "address_prefix": address, "prefix_len": length }))
            .collect();
        if let Some(api_server) = &settings.api_server {
            // The longest prefix wins.
            let range = json!([{ "address_prefix": api_server, "prefix_len": 32 }]);
            chains.push(chain("api-server", json!({ "prefix_ranges": range }), tcp("plain")));
        }
        let http_match = json!({ "prefix_ranges": ranges, "application_protocols": HTTP });
        chains.push(chain("mesh-http", http_match, http("mesh-http", None)));
        chains.push(chain("mesh-tcp", json!({ "prefix_ranges": ranges }), tcp("mesh-tcp")));
    }
    chains.push(chain("http", json!({ "application_protocols": HTTP }), http("plain", None)));
    let mut listener = listener("outbound", (address, port), chains, &["http_inspector"]);
    listener["default_filter_chain"] = json!({ "name": "tcp", "filters": [tcp("plain")] });
    listener["traffic_direction"] = json!("OUTBOUND");
    listener
}

fn inbound(settings: &Settings) -> Value {
    let port = settings.inbound_port;
    let of_mesh = |alpn: &str| json!({ "transport_protocol": "tls", "application_protocols": [alpn] });
    let mut chains = vec![nowhere(port)];
    for (name, alpn, filter) in
        [("mesh-tcp", ALPN_TCP, tcp("plain")), ("mesh-http", ALPN_HTTP, http("plain", None))]
    {
        let mut chain = chain(name, of_mesh(alpn), filter);
        chain["transport_socket"] = server_tls(settings, alpn);
        chains.push(chain);
    }
    // Strict Istio has no more than these. Strict Linkerd knows HTTP when it sees it, answers 403, and lets probes in.
    let plain = match (settings.strict, settings.shape) {
        (false, _) => Some(http("plain", None)),
        (true, Shape::Linkerd) => Some(http("plain", Some(only_probes(settings)))),
        (true, Shape::Istio) => None,
    };
    if let Some(filter) = plain {
        let plain = json!({ "transport_protocol": "raw_buffer", "application_protocols": HTTP });
        chains.push(chain("http", plain, filter));
    }
    let mut listener = listener("inbound", ("0.0.0.0", port), chains, &["tls_inspector", "http_inspector"]);
    if !settings.strict {
        listener["default_filter_chain"] = json!({ "name": "tcp", "filters": [tcp("plain")] });
    }
    listener["traffic_direction"] = json!("INBOUND");
    listener
}

fn listener(name: &str, (address, port): (&str, u16), chains: Vec<Value>, inspectors: &[&str]) -> Value {
    let filters = ["original_dst"].iter().chain(inspectors).map(|kind| {
        let camel = match *kind {
            "original_dst" => "OriginalDst",
            "tls_inspector" => "TlsInspector",
            _ => "HttpInspector",
        };
        let config = format!("envoy.extensions.filters.listener.{kind}.v3.{camel}");
        typed(&format!("envoy.filters.listener.{kind}"), &config, json!({}))
    });
    json!({
        "name": name,
        "stat_prefix": name,
        "address": { "socket_address": { "address": address, "port_value": port } },
        // A client that waits for the server to speak first has nothing to inspect.
        "listener_filters_timeout": "1s",
        "continue_on_listener_filters_timeout": true,
        "listener_filters": filters.collect::<Vec<_>>(),
        "filter_chains": chains,
    })
}

fn chain(name: &str, filter_chain_match: Value, filter: Value) -> Value {
    json!({ "name": name, "filter_chain_match": filter_chain_match, "filters": [filter] })
}

fn nowhere(port: u16) -> Value {
    chain("nowhere", json!({ "destination_port": port }), tcp("nowhere"))
}

fn typed(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/{kind}"));
    json!({ "name": name, "typed_config": config })
}

fn tcp(cluster: &str) -> Value {
    typed(
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        json!({ "stat_prefix": cluster, "cluster": cluster, "idle_timeout": "0s" }),
    )
}

/// What speaks HTTP is answered in HTTP, a failure with 503 for example, which many a client takes for success.
fn http(cluster: &str, access: Option<Value>) -> Value {
    let router = typed(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        json!({ "suppress_envoy_headers": true }),
    );
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster, "timeout": "0s" } });
    typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": cluster,
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
            "http_filters": access.into_iter().chain([router]).collect::<Vec<_>>(),
            "http_protocol_options": { "accept_http_10": true, "default_host_for_http_10": "localhost" },
            "upgrade_configs": [{ "upgrade_type": "websocket" }],
            "generate_request_id": false,
            "server_header_transformation": "PASS_THROUGH",
            "stream_idle_timeout": "0s",
        }),
    )
}

/// Lets in GETs of the app's probes, from wherever they come, and answers 403 to the rest.
fn only_probes(settings: &Settings) -> Value {
    let permissions = settings.probes.iter().map(|probe| {
        let path = probe.path.split('?').next().unwrap_or_default();
        let get = json!({ "name": ":method", "string_match": { "exact": "GET" } });
        json!({ "and_rules": { "rules": [
            { "header": get }, { "destination_port": probe.port }, { "url_path": { "path": { "exact": path } } },
        ] } })
    });
    let mut policies = json!({});
    let permissions: Vec<_> = permissions.collect();
    if !permissions.is_empty() {
        policies["probes"] = json!({ "permissions": permissions, "principals": [{ "any": true }] });
    }
    typed(
        "envoy.filters.http.rbac",
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        json!({ "rules": { "action": "ALLOW", "policies": policies } }),
    )
}

/// A cluster that connects to where the client wanted to go.
fn original(name: &str, tls: Option<Value>) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000,
        }] },
    });
    if let Some(tls) = tls {
        cluster["transport_socket"] = tls;
    }
    cluster
}

fn client_tls(settings: &Settings, alpn: &str) -> Value {
    let kind = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    typed("envoy.transport_sockets.tls", kind, json!({ "common_tls_context": common_tls(settings, alpn) }))
}

fn server_tls(settings: &Settings, alpn: &str) -> Value {
    let kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
    let context = json!({
        "require_client_certificate": true, "common_tls_context": common_tls(settings, alpn),
    });
    typed("envoy.transport_sockets.tls", kind, context)
}

fn common_tls(settings: &Settings, alpn: &str) -> Value {
    let inline = |text: &str| json!({ "inline_string": text });
    json!({
        "alpn_protocols": [alpn],
        "tls_certificates": [{
            "certificate_chain": inline(&settings.certificate), "private_key": inline(&settings.key),
        }],
        "validation_context": { "trusted_ca": inline(&settings.ca) },
    })
}
