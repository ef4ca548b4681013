//! The pair now in force, for a TLS server.

use arc_swap::ArcSwapOption;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::Arc;

/// Answers every handshake with one certificate, which can be replaced while the server runs. Before there is one,
/// handshakes fail.
///
/// Clones share the certificate. The name a client asks for (SNI) is not looked at: the apiserver is told which
/// name to expect, and finds the certificate wrong by itself if it is.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    current: Arc<ArcSwapOption<CertifiedKey>>,
}

// === impl Resolver ===

impl Resolver {
    /// Starts with `key`.
    pub fn new(key: Arc<CertifiedKey>) -> Self {
        Self { current: Arc::new(ArcSwapOption::new(Some(key))) }
    }

    /// Puts `key` in force for every handshake from now on; connections that stand keep theirs.
    pub fn replace(&self, key: Arc<CertifiedKey>) {
        self.current.store(Some(key));
    }

    /// What the next handshake gets.
    pub fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issue;
    use std::time::SystemTime;

    #[test]
    fn clones_serve_what_was_put_in_force_last() {
        let issued = || issue::self_signed(&["localhost".parse().unwrap()], SystemTime::now()).unwrap().key;
        let (first, second) = (issued(), issued());
        let resolver = Resolver::default();
        let clone = resolver.clone();
        assert!(clone.current().is_none());
        for key in [first, second] {
            resolver.replace(key.clone());
            assert!(Arc::ptr_eq(&clone.current().unwrap(), &key));
        }
    }
}
