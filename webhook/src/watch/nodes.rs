//! What the kubelets of the cluster can do.

use std::sync::Arc;

use tokio::sync::watch;

use crate::plan::Kubelets;

/// The kubelets, as the cluster last told of its nodes.
#[derive(Clone, Debug)]
pub struct Nodes {
    kubelets: watch::Receiver<Arc<Kubelets>>,
}

// === impl Nodes ===

impl Nodes {
    /// Follows nothing: this is what is known.
    pub fn fixed(kubelets: Kubelets) -> Self {
        let (_, kubelets) = watch::channel(Arc::new(kubelets));
        Self { kubelets }
    }

    /// What they can do now.
    pub fn kubelets(&self) -> Arc<Kubelets> {
        Arc::clone(&self.kubelets.borrow())
    }
}
