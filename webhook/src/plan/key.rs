//! Names of labels and annotations.

/// Label of a namespace or a pod: `enabled` or `disabled`.
pub const INJECT_LABEL: &str = "curfew.dev/inject";
/// Label of every pod Curfew was asked about: what was done.
pub const APPLIED_LABEL: &str = "curfew.dev/applied";
/// Label of pods with the reaper in them, which the watch tells that they are done: `true`.
pub const REAPER_LABEL: &str = "curfew.dev/reaper";
/// Wished strategy.
pub const STRATEGY: &str = "curfew.dev/strategy";
/// Whether the reaper stands by where commands are wrapped: `on` or `off`.
pub const NET: &str = "curfew.dev/net";
/// How long a main waits for its sidecars.
pub const READY_TIMEOUT: &str = "curfew.dev/ready-timeout";
/// What happens then: `fail` or `run`.
pub const ON_READY_TIMEOUT: &str = "curfew.dev/on-ready-timeout";
/// Names of the containers that do the pod's work.
pub const MAIN_CONTAINERS: &str = "curfew.dev/main-containers";
/// Catalogue rows for this pod, YAML.
pub const SIDECARS: &str = "curfew.dev/sidecars";
/// Whether k6's control port stays out of the mesh: `bypass` or `mesh`. On a namespace: runners and starter must agree.
pub const K6_CONTROL_PORT: &str = "curfew.dev/k6-control-port";
/// Written: what was decided and why.
pub const STATUS: &str = "curfew.dev/status";
/// Written by the watch: the pod's UID. Removed at admission.
pub const DONE_ANNOTATION: &str = "curfew.dev/done";

/// Annotations a user may write.
pub(super) const READ: [&str; 7] =
    [STRATEGY, NET, READY_TIMEOUT, ON_READY_TIMEOUT, MAIN_CONTAINERS, SIDECARS, K6_CONTROL_PORT];
