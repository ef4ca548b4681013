//! The engine behind the server, with what the cluster tells beside the review.

use futures_util::{FutureExt, future::BoxFuture};

use super::{Engine, Surroundings, refuse, review::Review};
use crate::{
    plan::Namespace,
    serve::{Admit, Answer},
    watch::{Namespaces, Nodes, Watched},
};

/// Answers reviews, each with the facts of its namespace and of the nodes.
#[derive(Debug)]
pub struct Webhook {
    engine: Engine,
    namespaces: Option<Namespaces>,
    nodes: Nodes,
    watched: Watched,
}

impl Webhook {
    /// A webhook with this engine; without `namespaces`, none has annotations. `watched`: whether the cluster's pods
    /// are, which may change.
    pub fn new(engine: Engine, namespaces: Option<Namespaces>, nodes: Nodes, watched: Watched) -> Self {
        Self { engine, namespaces, nodes, watched }
    }
}

impl Admit for Webhook {
    fn review<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Answer> {
        async move {
            let review = match Review::read(body) {
                Ok(review) => review,
                Err(error) => return refuse(&error),
            };
            let namespace = match &self.namespaces {
                Some(namespaces) => namespaces.get(&review.request.namespace).await,
                None => Namespace::default(),
            };
            let kubelets = self.nodes.kubelets();
            let watch = self.watched.is();
            let around = Surroundings { namespace: &namespace, kubelets: &kubelets, watch };
            self.engine.answer(&review, around)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{config::Config, plan::Kubelets};

    #[tokio::test]
    async fn no_pod_is_given_a_reaper_while_pods_may_not_be_watched() {
        let pod = json!({
            "metadata": {"name": "a", "annotations": {"curfew.dev/strategy": "reaper"}},
            "spec": {"restartPolicy": "Never", "containers": [
                {"name": "main", "image": "i"},
                {"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge-25.1.1"}]},
        });
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "object": pod}})
        .to_string();
        let watched = Watched::new(true);
        let nodes = Nodes::fixed(Kubelets::default());
        let engine = Engine::new(Config::builtin().expect("the built-in configuration"));
        let webhook = Webhook::new(engine, None, nodes, watched.clone());
        for (is, strategy) in [(true, "reaper"), (false, "leave"), (true, "reaper")] {
            if is {
                watched.allowed()
            } else {
                watched.refused()
            }
            let answer = webhook.review(body.as_bytes()).await;
            let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(answer["response"]["auditAnnotations"]["strategy"], strategy, "{answer}");
        }
    }
}
