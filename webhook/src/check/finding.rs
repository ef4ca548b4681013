//! One line of what was found.

use serde::Serialize;

use super::Unseen;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something is not done, or may not be.
    Warn,
    /// Curfew does not do its work.
    Fail,
}

/// One thing that was found, and what mends it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: the check's name.
    pub subject: &'static str,
    /// What was found: the thing and its value.
    pub finding: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// It could be looked at.
    pub seen: bool,
}

// === impl Severity ===

impl Severity {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

// === impl Finding ===

impl Finding {
    fn new(severity: Severity, subject: &'static str, finding: impl Into<String>) -> Self {
        Self { severity, subject, finding: finding.into(), mend: None, seen: true }
    }

    /// As it should be.
    pub(super) fn ok(subject: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Ok, subject, finding)
    }

    /// Worth knowing.
    pub(super) fn note(subject: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Note, subject, finding)
    }

    /// Something is not done.
    pub(super) fn warn(subject: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Warn, subject, finding)
    }

    /// Curfew does not do its work.
    pub(super) fn fail(subject: &'static str, finding: impl Into<String>) -> Self {
        Self::new(Severity::Fail, subject, finding)
    }

    /// It could not be looked at, so nothing is known of it.
    pub(super) fn unseen(subject: &'static str, what: &str, why: &Unseen) -> Self {
        let finding = format!("{what}: not looked at, {why}");
        Self { seen: false, ..Self::note(subject, finding) }
    }

    /// What mends it.
    #[must_use]
    pub(super) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}
