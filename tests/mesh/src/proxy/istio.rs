//! The ports of Istio's agent: 15020, and 15021 once Envoy is ready.

use std::{net::SocketAddr, sync::Arc, sync::atomic::Ordering, time::Duration};

use axum::{
    Router,
    extract::{self, ConnectInfo},
    http::{Method, StatusCode, Uri},
    routing::{any, get},
};
use serde_json::Value;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::timeout};

use super::{State, admin};
use crate::http::Ask;

type Answer = (StatusCode, &'static str);
type Shared = extract::State<Arc<State>>;

/// Opens the agent's port at once, and sees to the other.
pub(super) async fn serve(
    state: &Arc<State>,
    servers: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz/ready", get(ready))
        .route("/quitquitquit", any(quit))
        .route("/drain", any(drain))
        .route("/stats/prometheus", get(|| async { "" }))
        .route("/app-health/{container}/{probe}", any(app_health))
        .with_state(Arc::clone(state));
    admin::serve(servers, 15020, router, stopped.clone()).await?;
    let (state, stopped) = (Arc::clone(state), stopped.clone());
    servers.spawn(async move {
        // The health port is one of Envoy's listeners: before Envoy there is nobody to refuse to.
        if state.ready.subscribe().wait_for(|ready| *ready).await.is_err() {
            return;
        }
        let router = Router::new().route("/healthz/ready", get(ready)).with_state(state);
        let mut own = JoinSet::new();
        if let Err(error) = admin::serve(&mut own, 15021, router, stopped).await {
            tracing::error!("{error:#}");
        }
        while own.join_next().await.is_some() {}
    });
    Ok(())
}

async fn ready(extract::State(state): Shared) -> Answer {
    if state.is_ready() { (StatusCode::OK, "") } else { (StatusCode::SERVICE_UNAVAILABLE, "") }
}

async fn quit(
    extract::State(state): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
) -> Answer {
    obey(peer, &method, || state.quit())
}

/// Istio drains its listeners here; for the tests only what follows from it counts, a SIGTERM without a wait.
async fn drain(
    extract::State(state): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
) -> Answer {
    obey(peer, &method, || state.drained.store(true, Ordering::SeqCst))
}

/// Does what was asked for if it was a POST from this pod.
fn obey(peer: SocketAddr, method: &Method, act: impl FnOnce()) -> Answer {
    if !admin::is_local(peer) {
        return (StatusCode::FORBIDDEN, "Only requests from localhost are allowed\n");
    }
    if *method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    act();
    (StatusCode::OK, "OK")
}

/// Asks the app what the kubelet would have asked it.
async fn app_health(extract::State(state): Shared, uri: Uri) -> StatusCode {
    let Some(prober) = state.settings.probers.get(uri.path()) else { return StatusCode::NOT_FOUND };
    let patience = Duration::from_secs(prober["timeoutSeconds"].as_u64().unwrap_or(1).max(1));
    let ip = &state.settings.pod_ip;
    if let Some(get) = prober.get("httpGet") {
        let headers = get["httpHeaders"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let headers: Vec<_> = headers.map(|header| (text(&header["name"]), text(&header["value"]))).collect();
        let address = format!("{ip}:{}", get["port"]);
        let path = get["path"].as_str().unwrap_or("/");
        let ask = Ask { method: "GET", path, host: &address, headers: &headers };
        let asked = ask.tcp(&address, patience).await;
        let status = asked.ok().and_then(|answer| StatusCode::from_u16(answer.status).ok());
        return status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let port =
        ["tcpSocket", "grpc"].iter().find_map(|kind| prober.get(kind)).map(|probe| probe["port"].clone());
    let connected = timeout(patience, TcpStream::connect(format!("{ip}:{}", port.unwrap_or_default()))).await;
    if matches!(connected, Ok(Ok(_))) { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}
