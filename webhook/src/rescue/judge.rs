//! Whether a pod hangs, what holds it, and what would let it go. Pure.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{noop, state::State};
use crate::{
    config::Config,
    plan::{Context, ExitCodes, Found, Kubelets, Namespace, Survey, Wishes, is_reaper},
    pod::{Container, Pod},
};

/// What a judgement depends on besides the pod.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The rows in force.
    pub config: &'a Config,
    /// Annotations of the pod's namespace, as far as they may be read.
    pub namespace: &'a Namespace,
    /// The time.
    pub now: Timestamp,
    /// Pods whose mains ended less long ago are just about to end.
    pub older_than: Duration,
    /// Pods whose owner ends the sidecars itself are not left to it.
    pub include_handled: bool,
}

/// What a pod is found to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It does not hang, or is not known to, and this is why.
    Fine(String),
    /// Its work is done, and sidecars hold it.
    Hangs(Hanging),
}

/// A pod whose work is done while sidecars still run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hanging {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Tells it from another of its name.
    pub uid: String,
    /// When the last of its mains ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it is left as it is, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// What holds it, in the order in which they are told to go: proxies last.
    pub sidecars: Vec<Holder>,
    /// A swapped image counts as a restart against the Job's `backoffLimit`.
    pub swap_counts_as_restart: bool,
    /// Restarts that count already.
    pub restarts: u32,
    /// The Job it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// That Job's `backoffLimit`, where it matters and may be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<u32>,
}

/// A container that holds a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its name.
    pub container: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Why its image cannot be swapped, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_swap: Option<String>,
}

/// What a container is that holds a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Kind {
    /// A sidecar the catalogue knows.
    #[serde(rename_all = "camelCase")]
    Sidecar {
        /// Its row.
        row: String,
        /// `[METHOD=]URL` that ends it.
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Why there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        no_endpoint: Option<String>,
    },
    /// Curfew's own.
    Reaper {
        /// It was told that the mains are done, and has not left yet.
        told: bool,
        /// Why it does not run, and so hears nothing: such as `ImagePullBackOff`.
        #[serde(skip_serializing_if = "Option::is_none")]
        waits: Option<String>,
    },
    /// Its image has been swapped before, and the new one does not run: as the kubelet says.
    Noop {
        /// Such as `ImagePullBackOff`.
        state: String,
    },
}

// === impl Hanging ===

impl Hanging {
    /// `namespace/pod`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }

    /// How many images may have to be swapped to let it go.
    pub(super) fn swaps(&self) -> u32 {
        let swapped = |holder: &&Holder| holder.no_swap.is_none() && !holder.listens();
        u32::try_from(self.sidecars.iter().filter(swapped).count()).unwrap_or(u32::MAX)
    }

    /// Why nothing can be done about it, if so: one container that stays is enough.
    pub fn hopeless(&self) -> Option<String> {
        let stuck = self.sidecars.iter().find(|holder| !holder.can_go())?;
        let why = stuck.no_swap.as_deref().unwrap_or_default();
        Some(format!("{}: {why}; delete the pod, or its Job", stuck.container))
    }
}

// === impl Holder ===

impl Holder {
    /// Something ends it, or may.
    pub fn can_go(&self) -> bool {
        match &self.kind {
            Kind::Sidecar { endpoint, .. } => endpoint.is_some() || self.no_swap.is_none(),
            Kind::Reaper { .. } if self.listens() => true,
            Kind::Noop { .. } | Kind::Reaper { .. } => self.no_swap.is_none(),
        }
    }

    /// It is a reaper that runs, so that telling it is enough.
    pub(super) fn listens(&self) -> bool {
        matches!(self.kind, Kind::Reaper { waits: None, .. })
    }
}

/// Judges a pod by its JSON.
///
/// # Errors
/// It is none.
pub fn judge(raw: &str, circumstances: Circumstances<'_>) -> Result<Verdict, serde_json::Error> {
    let state = State::read(raw)?;
    let pod = Pod::read(raw)?;
    Ok(match hangs(&pod, &state, circumstances) {
        Ok(hanging) => Verdict::Hangs(hanging),
        Err(why) => Verdict::Fine(why),
    })
}

fn hangs(pod: &Pod<'_>, state: &State, circumstances: Circumstances<'_>) -> Result<Hanging, String> {
    let Circumstances { config, namespace, now, older_than, include_handled } = circumstances;
    let policy = pod.restart_policy();
    if policy == "Always" {
        return Err("its restartPolicy is Always: it is not meant to end".to_owned());
    }
    if state.metadata.deletion_timestamp.is_some() {
        return Err("it is being deleted".to_owned());
    }
    if state.is_over() {
        return Err(format!("it is {}", state.status.phase));
    }
    let kubelets = Kubelets::unknown("they do not matter here");
    let context = Context {
        namespace,
        kubelets: &kubelets,
        catalogue: &config.catalogue,
        settings: &config.settings,
        watch: false,
        strategy: None,
        of_file: false,
    };
    let wishes = Wishes::read(pod, context);
    let survey = Survey::of(pod, &wishes, &kubelets);

    let is_helper = |container: &Container<'_>| is_reaper(container) || is_swapped(container);
    let mains: Vec<_> = survey.mains.iter().map(|(_, main)| *main).filter(|main| !is_helper(main)).collect();
    if mains.is_empty() {
        return Err("every container of it is a sidecar, so nothing says that its work is done".to_owned());
    }
    let mut since = None;
    for main in &mains {
        let Some(ended) = state.terminated(&main.name) else {
            return Err(format!(
                "its container {} has not ended, and is no sidecar that is known",
                main.name
            ));
        };
        if !ExitCodes::finishing(policy, main).contains(ended.exit_code) {
            return Err(format!("its container {} exited {} and runs again", main.name, ended.exit_code));
        }
        since = since.max(ended.finished_at);
    }
    if let Some(other) = survey.others.iter().find(|name| state.terminated(name).is_none()) {
        return Err(format!("its container {other} has not ended, and is neither main nor sidecar"));
    }
    let holders = holders(pod, state, &survey, &is_helper);
    if holders.is_empty() {
        let mut left = survey.handled().filter(|(container, _)| state.terminated(container).is_none());
        return Err(match left.next() {
            Some((container, who)) => format!("only {container} still runs: {who}"),
            None => "all its containers have ended".to_owned(),
        });
    }
    let age = since.map_or(Duration::MAX, |since| age(since, now));
    if age < older_than {
        return Err(format!("its mains ended {} s ago: it may be about to end", age.as_secs()));
    }
    let handled = survey.workload.and_then(|row| row.handled_by.clone()).filter(|_| !include_handled);
    let left = handled.or_else(|| pod.is_windows().then(|| "it is a Windows pod".to_owned()));
    let metadata = &state.metadata;
    Ok(Hanging {
        namespace: metadata.namespace.clone(),
        pod: metadata.name.clone(),
        uid: metadata.uid.clone(),
        since,
        left,
        sidecars: holders,
        swap_counts_as_restart: policy == "OnFailure",
        restarts: state.restarts(),
        job: state.job().map(str::to_owned),
        backoff_limit: None,
    })
}

/// How long ago; a clock that goes wrong says 0.
pub(super) fn age(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or_default()
}

fn is_swapped(container: &Container<'_>) -> bool {
    container.image.as_deref().is_some_and(noop::is)
}

/// The containers that still hold the pod.
fn holders(
    pod: &Pod<'_>,
    state: &State,
    survey: &Survey<'_>,
    is_helper: &dyn Fn(&Container<'_>) -> bool,
) -> Vec<Holder> {
    let policy = pod.restart_policy();
    let found: BTreeMap<&str, &Found<'_>> =
        survey.classic().map(|found| (&*found.container.name, found)).collect();
    let mut holders: Vec<(bool, Holder)> = Vec::new();
    for container in &pod.spec.containers {
        let sidecar = found.get(&*container.name);
        if state.terminated(&container.name).is_some() || (sidecar.is_none() && !is_helper(container)) {
            continue;
        }
        let ends = ExitCodes::finishing(policy, container).contains(0);
        let again = "its own restart policy starts it again whenever it ends";
        let no_swap = match ends {
            false => Some(again.to_owned()),
            true => noop::answers_for(container).err(),
        };
        let kind = match sidecar {
            _ if is_swapped(container) => {
                Kind::Noop { state: state.waiting(&container.name).unwrap_or("running").to_owned() }
            }
            Some(found) => {
                let endpoint = match &found.endpoints.shutdown {
                    _ if !ends => Err(again),
                    _ if pod.spec.host_network == Some(true) => {
                        Err("on the node's network its endpoint may be another's")
                    }
                    _ if state.waiting(&container.name).is_some() => Err("it does not run"),
                    None => Err("no shutdown endpoint known"),
                    Some(endpoint) => Ok(endpoint.clone()),
                };
                let no_endpoint = endpoint.as_ref().err().map(|why| (*why).to_owned());
                Kind::Sidecar { row: found.row.name.clone(), endpoint: endpoint.ok(), no_endpoint }
            }
            None => Kind::Reaper {
                told: state.is_told(),
                waits: state.held_up(&container.name).map(str::to_owned),
            },
        };
        let last = sidecar.is_some_and(|found| found.row.carries_traffic);
        holders.push((last, Holder { container: container.name.to_string(), kind, no_swap }));
    }
    holders.sort_by_key(|(last, _)| *last);
    holders.into_iter().map(|(_, holder)| holder).collect()
}

#[cfg(test)]
mod tests;
