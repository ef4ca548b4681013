//! Whether pods are watched, as far as whoever plans must know it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Whether the API server lets pods be listed; clones share it. Only a refusal turns it off: an API server that is away comes
/// back, and then every pod is judged anew.
#[derive(Clone, Debug)]
pub struct Watched(Arc<AtomicBool>);

// === impl Watched ===

impl Watched {
    /// What the configuration says, until the API server says otherwise.
    pub fn new(is: bool) -> Self {
        Self(Arc::new(AtomicBool::new(is)))
    }

    /// Whether a reaper would be told.
    pub fn is(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// All pods were listed.
    pub(crate) fn allowed(&self) {
        if !self.0.swap(true, Relaxed) {
            tracing::info!("Pods may be listed, and are given reapers");
        }
    }

    /// They may not be.
    pub(crate) fn refused(&self) {
        if self.0.swap(false, Relaxed) {
            tracing::warn!("Pods may not be listed, and are given no reapers until they may");
        }
    }
}
