//! What was looked at, or why it could not be.

use crate::rescue::Denied;

/// Something of the cluster, or why it could not be looked at.
pub type Seen<T> = Result<T, Unseen>;

/// Why something could not be looked at.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Unseen(pub String);

impl From<Denied> for Unseen {
    fn from(denied: Denied) -> Self {
        Self(match denied {
            // The server's own words name the same right again.
            Denied::Right { right, .. } => format!("you need the right to {right}"),
            other => other.to_string(),
        })
    }
}
