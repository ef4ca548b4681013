//! The engine behind the server, with what the cluster tells beside the review.

use futures_util::{FutureExt, future::BoxFuture};

use super::{Engine, Surroundings, refuse, review::Review};
use crate::{
    plan::Namespace,
    serve::{Admit, Answer},
    watch::{Namespaces, Nodes},
};

/// Answers reviews, each with the facts of its namespace and of the nodes.
#[derive(Debug)]
pub struct Webhook {
    engine: Engine,
    namespaces: Option<Namespaces>,
    nodes: Nodes,
    watch: bool,
}

impl Webhook {
    /// A webhook with this engine; without `namespaces`, none has annotations. `watch`: the cluster's pods are watched.
    pub fn new(engine: Engine, namespaces: Option<Namespaces>, nodes: Nodes, watch: bool) -> Self {
        Self { engine, namespaces, nodes, watch }
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
            let around = Surroundings { namespace: &namespace, kubelets: &kubelets, watch: self.watch };
            self.engine.answer(&review, around)
        }
        .boxed()
    }
}
