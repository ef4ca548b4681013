//! Restart rules of single containers (Kubernetes ≥ 1.35).

use serde::Deserialize;

use super::{Text, object::nullable};

/// One of `restartPolicyRules`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RestartRule<'a> {
    /// `Restart` or `RestartAllContainers`.
    pub action: Text<'a>,
    /// Which exit codes it is about.
    #[serde(borrow)]
    pub exit_codes: Option<RestartRuleExitCodes<'a>>,
}

/// `exitCodes` of a restart rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RestartRuleExitCodes<'a> {
    /// `In` or `NotIn`.
    #[serde(borrow)]
    pub operator: Text<'a>,
    /// The codes.
    #[serde(deserialize_with = "nullable")]
    pub values: Vec<i64>,
}
