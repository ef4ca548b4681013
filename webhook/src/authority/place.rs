//! Where everything is.

use curfew_certs::{IssueError, SubjectName};

/// Where the CA is kept, and who is to trust it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Curfew's own namespace.
    pub namespace: String,
    /// The Secret in it.
    pub secret: String,
    /// The Service of the webhook in it: the leaf's name.
    pub service: String,
    /// The MutatingWebhookConfiguration.
    pub configuration: String,
}

// === impl Place ===

impl Place {
    /// The names API servers call the webhook by.
    ///
    /// # Errors
    /// The Service or the namespace has no name that may stand in a certificate.
    pub fn names(&self) -> Result<Vec<SubjectName>, IssueError> {
        let Self { namespace, service, .. } = self;
        [format!("{service}.{namespace}.svc"), format!("{service}.{namespace}")]
            .iter()
            .map(|name| name.parse())
            .collect()
    }
}
