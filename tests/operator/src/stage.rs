//! The stages of a TestRun and the conditions beside them.

use std::{fmt, time::Duration};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Where a TestRun is. It only ever moves down this list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Not seen by the operator yet.
    #[default]
    #[serde(rename = "")]
    New,
    /// The initializer is to end well.
    Initialization,
    /// Runners are to be created.
    Initialized,
    /// Runners are to run and to answer.
    Created,
    /// The starter exists; whether it started anything nobody asks.
    Started,
    /// No runner's Job is active any more.
    Stopped,
    /// The end.
    Finished,
    /// The other end.
    Error,
}

/// The conditions the operator keeps, by their names in the status.
pub(crate) const RUNNING: &str = "TestRunRunning";
pub(crate) const CLOUD: &str = "CloudTestRun";
pub(crate) const CLOUD_PLZ: &str = "CloudPLZTestRun";

// === impl Stage ===

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::New => "",
            Self::Initialization => "initialization",
            Self::Initialized => "initialized",
            Self::Created => "created",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Error => "error",
        })
    }
}

/// The conditions of a TestRun that has just been seen.
pub(crate) fn initial_conditions(now: Timestamp) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (kind, status) in [(CLOUD, "Unknown"), (CLOUD_PLZ, "False"), (RUNNING, "Unknown")] {
        set(&mut conditions, kind, status, now);
    }
    conditions
}

/// Sets a condition; its time moves only when its status does.
pub(crate) fn set(conditions: &mut Vec<Condition>, kind: &str, status: &str, now: Timestamp) {
    if conditions.iter().any(|one| one.type_ == kind && one.status == status) {
        return;
    }
    conditions.retain(|one| one.type_ != kind);
    let reason = match (kind, status) {
        (RUNNING, "Unknown") => "TestRunPreparation".to_owned(),
        (CLOUD, "Unknown") => "TestRunTypeUnknown".to_owned(),
        _ => format!("{kind}{status}"),
    };
    conditions.push(Condition {
        last_transition_time: Time(now),
        message: String::new(),
        observed_generation: None,
        reason,
        status: status.to_owned(),
        type_: kind.to_owned(),
    });
}

/// How long a condition has had its status, or `None` while it is unknown or missing.
pub(crate) fn known_for(conditions: &[Condition], kind: &str, now: Timestamp) -> Option<Duration> {
    let condition = conditions.iter().find(|one| one.type_ == kind && one.status != "Unknown")?;
    Some(age(condition, now))
}

/// How long a condition has had its status, whatever that is.
pub(crate) fn age_of(conditions: &[Condition], kind: &str, now: Timestamp) -> Option<Duration> {
    Some(age(conditions.iter().find(|one| one.type_ == kind)?, now))
}

fn age(condition: &Condition, now: Timestamp) -> Duration {
    now.duration_since(condition.last_transition_time.0).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_written_as_the_crd_has_it() {
        assert_eq!(serde_json::to_value(Stage::Initialization).unwrap(), "initialization");
        assert_eq!(serde_json::from_value::<Stage>("".into()).unwrap(), Stage::New);
        assert_eq!(Stage::Created.to_string(), "created");
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let (first, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let mut conditions = initial_conditions(first);
        assert_eq!(known_for(&conditions, RUNNING, later), None);
        set(&mut conditions, RUNNING, "True", first);
        set(&mut conditions, RUNNING, "True", later);
        assert_eq!(known_for(&conditions, RUNNING, later), Some(Duration::from_secs(60)));
        assert_eq!(conditions.len(), 3);
    }
}
