//! Rendering Curfew's chart and its kustomize overlays, and checking objects against Kubernetes' own types.

mod objects;
mod tools;

pub use objects::{Object, parse, unknown_fields};
pub use tools::{Refused, chart, helm, kustomize, manifests, rendered, template, tool, values};
