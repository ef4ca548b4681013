//! A read-only view of a pod: the fields decisions are made of, borrowed from the JSON text in one pass.
//!
//! The text stays the truth: patches are written against it, never as a typed round trip, so fields this view does
//! not know survive. The view is strict about everything a patch leads through (lists are lists, objects are
//! objects, containers have names): what it holds is what operations may rely on. What the API server defaults may
//! be missing here, because `curfew inject` reads what people write; the accessors fill in the same defaults.

mod affinity;
mod object;
mod probe;
mod quantity;
mod restart;
mod text;
mod view;

pub(crate) use object::{Object, nullable};
pub use probe::{Probe, ProbeFields};
pub use quantity::Quantity;
pub use restart::{RestartRule, RestartRuleExitCodes};
pub use text::Text;
pub use view::{
    Container, ContainerPort, EnvVar, Metadata, Os, OwnerReference, Pod, PodSecurityContext, PodSpec,
    PullSecret, Volume, VolumeMount,
};
