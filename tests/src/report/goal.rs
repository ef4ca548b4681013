//! A goal and what became of it.

/// What was wanted, what was measured, and whether that is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// What the goal is about.
    pub what: String,
    /// The wanted value, as text.
    pub wanted: String,
    /// The measured value, as text.
    pub measured: String,
    /// Whether it was reached.
    pub met: bool,
}

// === impl Goal ===

impl Goal {
    /// A goal with its result.
    pub fn new(what: &str, wanted: &str, measured: impl Into<String>, met: bool) -> Self {
        Self { what: what.to_owned(), wanted: wanted.to_owned(), measured: measured.into(), met }
    }

    /// One list item.
    pub fn markdown(&self) -> String {
        let verdict = if self.met { "met" } else { "**missed**" };
        format!("* {}: goal {}, measured {}: {verdict}", self.what, self.wanted, self.measured)
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verdict = if self.met { "met" } else { "MISSED" };
        write!(f, "{verdict}: {}: goal {}, measured {}", self.what, self.wanted, self.measured)
    }
}
