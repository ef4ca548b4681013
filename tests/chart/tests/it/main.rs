//! The chart and its kustomize base, rendered by the real Helm and kustomize.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod behaviour;
mod kustomize;
mod refused;
mod rendered;
mod rules;
mod values;
