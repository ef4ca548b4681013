//! The admission webhooks: the mesh's injector, and two hooks that get in Curfew's way.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    inject::{Mesh, Subject, inject},
    strip::strip,
    tls::Listener,
};

/// Flags of the webhook.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Args {
    /// Where the API server asks
    #[arg(long, default_value = "0.0.0.0:9443")]
    listen: SocketAddr,
    /// The certificate shown there, PEM
    #[arg(long)]
    tls_cert: PathBuf,
    /// Its key, PEM
    #[arg(long)]
    tls_key: PathBuf,
    /// A folder with ca.crt, mesh.crt and mesh.key: the identity of every proxy
    #[arg(long)]
    identity: PathBuf,
    /// The image of the sidecar
    #[arg(long)]
    image: String,
    /// CIDRs of pods and Services, where strict proxies expect one another
    #[arg(long, default_value = "198.18.0.0/17,198.19.0.0/16")]
    networks: String,
}

/// What a configuration asks for, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Hook {
    /// Adds the sidecar.
    Inject,
    /// The same, but looks for its proxy in `containers` alone: one that was made native it adds again.
    ReAdd,
    /// Writes back a pod of an older type.
    Strip,
}

struct Injector {
    mesh: Mesh,
    namespaces: Api<Namespace>,
}

/// Serves until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut term = signal(SignalKind::terminate())?;
    let read = |name: &str| {
        let path = args.identity.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("--identity: no {}", path.display()))
    };
    let mesh = Mesh {
        image: args.image.clone(),
        networks: args.networks.clone(),
        ca: read("ca.crt")?,
        certificate: read("mesh.crt")?,
        key: read("mesh.key")?,
    };
    let client =
        Client::try_default().await.context("no Kubernetes API to ask about namespaces: run in a pod")?;
    let injector = Arc::new(Injector { mesh, namespaces: Api::all(client) });
    let router = Router::new()
        .route("/{hook}", post(review))
        .with_state(injector)
        .layer(axum::extract::DefaultBodyLimit::max(16 << 20));
    let listener = Listener::bind(args.listen, &args.tls_cert, &args.tls_key).await?;
    tracing::info!(address = %args.listen, "Listening");
    let stop = async move {
        term.recv().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    Ok(ExitCode::SUCCESS)
}

async fn review(
    State(injector): State<Arc<Injector>>,
    Path(hook): Path<Hook>,
    Json(review): Json<Value>,
) -> Json<Value> {
    let request = &review["request"];
    let mut response = json!({ "uid": request["uid"], "allowed": true });
    let pod = request["object"]["metadata"]["name"].as_str();
    let pod = pod.or(request["object"]["metadata"]["generateName"].as_str()).unwrap_or_default();
    match injector.patch(hook, request).await {
        Ok(None) => tracing::info!(pod, namespace = %request["namespace"], "Left alone"),
        Ok(Some(patch)) => {
            tracing::info!(pod, namespace = %request["namespace"], ?hook, "Patched");
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(patch));
        }
        Err(error) => {
            tracing::warn!(pod, namespace = %request["namespace"], "Rejected: {error:#}");
            response["allowed"] = json!(false);
            response["status"] = json!({ "message": format!("test-mesh: {error:#}") });
        }
    }
    Json(json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response }))
}

// === impl Injector ===

impl Injector {
    /// What the hook changes, if anything.
    async fn patch(&self, hook: Hook, request: &Value) -> anyhow::Result<Option<String>> {
        let pod = &request["object"];
        let patched = match hook {
            Hook::Strip => Some(strip(pod)).filter(|stripped| stripped != pod),
            Hook::Inject | Hook::ReAdd => self.inject(hook, request).await?,
        };
        Ok(patched.map(|patched| json_patch::diff(pod, &patched).to_string()))
    }

    /// Asks for the namespace each time: tests annotate one and make a pod in the same breath.
    async fn inject(&self, hook: Hook, request: &Value) -> anyhow::Result<Option<Value>> {
        let name = request["namespace"].as_str().context("the review has no namespace")?;
        let namespace =
            self.namespaces.get(name).await.with_context(|| format!("cannot read the namespace {name:?}"))?;
        let annotations = namespace.metadata.annotations.unwrap_or_default();
        let annotations: Map<_, _> =
            annotations.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        let subject = Subject {
            pod: &request["object"],
            namespace: name,
            namespace_annotations: Some(&annotations),
            forgetful: hook == Hook::ReAdd,
        };
        inject(subject, &self.mesh)
    }
}
