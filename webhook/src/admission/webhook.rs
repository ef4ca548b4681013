//! The engine behind the server, with what the cluster tells beside the review.

use futures_util::{FutureExt, future::BoxFuture};

use super::{Engine, refuse, review::Review};
use crate::{
    plan::Namespace,
    serve::{Admit, Answer},
    watch::Namespaces,
};

/// Answers reviews, each with the facts of its namespace.
#[derive(Debug)]
pub struct Webhook {
    engine: Engine,
    namespaces: Option<Namespaces>,
}

impl Webhook {
    /// A webhook with this engine; without `namespaces`, none has annotations.
    pub fn new(engine: Engine, namespaces: Option<Namespaces>) -> Self {
        Self { engine, namespaces }
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
            self.engine.answer(&review, &namespace)
        }
        .boxed()
    }
}
