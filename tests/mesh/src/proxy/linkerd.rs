//! Linkerd's admin port, 4191.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{self, ConnectInfo},
    http::{Method, StatusCode},
    routing::{any, get},
};
use tokio::{sync::watch, task::JoinSet};

use super::{State, admin};

type Answer = (StatusCode, &'static str);

/// Opens the port; it answers before the proxy is ready.
pub(super) async fn serve(
    state: &Arc<State>,
    servers: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/ready", get(ready))
        .route("/live", get(|| async { "live\n" }))
        .route("/metrics", get(|| async { "" }))
        .route("/shutdown", any(shutdown))
        .with_state(Arc::clone(state));
    admin::serve(servers, 4191, router, stopped.clone()).await
}

async fn ready(extract::State(state): extract::State<Arc<State>>) -> Answer {
    if state.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn shutdown(
    extract::State(state): extract::State<Arc<State>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
) -> Answer {
    if !state.settings.shutdown_enabled {
        return (StatusCode::NOT_FOUND, "shutdown endpoint is not enabled\n");
    }
    if method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "");
    }
    if !admin::is_local(peer) {
        return (StatusCode::FORBIDDEN, "Requests are only permitted from localhost.");
    }
    state.quit();
    (StatusCode::OK, "shutdown\n")
}
