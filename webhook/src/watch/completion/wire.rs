//! What of a pod's JSON the kill rule and an explanation need.

use std::{borrow::Cow, collections::BTreeMap, time::SystemTime};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};

use crate::{
    plan::ExitCodes,
    pod::{Container, RestartRule, Text, nullable},
};

/// A pod.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(super) spec: Spec<'a>,
    #[serde(borrow)]
    pub(super) status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    pub(super) uid: Text<'a>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) labels: BTreeMap<Text<'a>, Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) annotations: BTreeMap<Text<'a>, Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    pub(super) restart_policy: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) containers: Vec<Declared<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) init_containers: Vec<Named<'a>>,
}

/// A regular container as it was asked for.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Declared<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    restart_policy: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "nullable")]
    restart_policy_rules: Vec<RestartRule<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

/// The statuses of regular containers; those of ephemeral ones, which nobody waits for, are not even read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status<'a> {
    #[serde(deserialize_with = "time")]
    pub(super) start_time: Option<SystemTime>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub(super) container_statuses: Vec<ContainerStatus<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) state: State<'a>,
}

/// One of them at most is there.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct State<'a> {
    running: Option<IgnoredAny>,
    #[serde(borrow)]
    waiting: Option<Waiting<'a>>,
    #[serde(borrow)]
    pub(super) terminated: Option<Terminated<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting<'a> {
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminated<'a> {
    pub(super) exit_code: i32,
    #[serde(default, deserialize_with = "time")]
    pub(super) finished_at: Option<SystemTime>,
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) message: Option<Cow<'a, str>>,
}

// === impl Declared ===

impl Declared<'_> {
    /// The codes after which it does not run again.
    pub(super) fn finishing(&self, pod_policy: &str) -> ExitCodes {
        let Self { name, restart_policy, restart_policy_rules } = self;
        let container = Container {
            name: name.clone(),
            restart_policy: restart_policy.clone(),
            restart_policy_rules: restart_policy_rules.clone(),
            ..Container::default()
        };
        ExitCodes::finishing(pod_policy, &container)
    }
}

// === impl State ===

impl State<'_> {
    /// It runs, or is still to be started: again, after a crash, or at all.
    pub(super) fn holds(&self) -> bool {
        self.running.is_some() || self.waiting.is_some()
    }

    /// What it waits for, in the kubelet's word, where it does not run.
    pub(super) fn waits(&self) -> Option<&str> {
        self.waiting.as_ref().map(|waiting| waiting.reason.as_deref().unwrap_or("Waiting"))
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
    let time = Option::<Time>::deserialize(deserializer).map_err(D::Error::custom)?;
    Ok(time.map(|Time(time)| time.into()))
}
