//! A read-only view of a pod: the fields decisions are made of, borrowed from the raw JSON.
//!
//! The raw object stays the truth: patches are written against it, never against this view, so fields this
//! view does not know survive. What the API server defaults may be missing here, because `curfew inject`
//! reads what people write; the accessors fill in the same defaults.

mod quantity;
mod view;

pub use quantity::Quantity;
pub use view::{
    Container, ContainerPort, EnvVar, Metadata, Os, OwnerReference, Pod, PodSecurityContext, PodSpec, Probe,
    RestartRule, RestartRuleExitCodes, Volume, VolumeMount,
};
