//! What the admin port answers, in plain HTTP: is it alive, is it ready, what has it done.

use super::{
    metrics::Metrics,
    readiness::{Readiness, Ready},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct App {
    readiness: Readiness,
    metrics: Metrics,
}

/// The routes of the admin port.
pub(super) fn router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        // Alive is whoever answers. A restart mends nothing that this process can notice by itself.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such path: try /healthz, /readyz or /metrics\n") })
        .with_state(App { readiness, metrics })
}

async fn readyz(State(app): State<App>) -> Response {
    let state = app.readiness.state();
    let status = match state {
        Ready::Yes => StatusCode::OK,
        Ready::Waiting(_) | Ready::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{state}\n")).into_response()
}

async fn page(State(app): State<App>) -> Response {
    match app.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {error}\n"))
            .into_response(),
    }
}
