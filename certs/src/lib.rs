//! Certificates of the Curfew webhook.
//!
//! * [`ca`]: a CA and what it signs.
//! * [`issue`]: a self-signed CA and a leaf under it, for the demo and for first tries.
//! * [`authority`]: the CA all replicas share, as a Secret keeps it.
//! * [`rotation`]: what a replica does next about all these, and why.
//! * [`files`]: a pair from two PEM files, read again when their content changes.
//! * [`resolver`]: hands the pair now in force to each TLS handshake.
//!
//! Every handshake asks the resolver, so a new pair needs neither a restart nor a new listener.

pub mod authority;
pub mod ca;
pub mod files;
pub mod issue;
pub mod resolver;
pub mod rotation;

pub use authority::Authority;
pub use ca::{Ca, CaCertificate, Leaf, Life};
pub use files::{Files, LoadError, Reloader};
pub use issue::{IssueError, Issued, SubjectName};
pub use resolver::Resolver;

use std::sync::Arc;

/// The one cryptography provider of Curfew. It is named at each use, never installed process-wide.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
