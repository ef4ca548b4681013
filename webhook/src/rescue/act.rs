//! Letting one pod go.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{
    Hanging, Holder, Kind,
    call::{Refusal, call},
    cluster::{Cluster, Denied},
    state::State,
};

/// How often a pod is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A sidecar whose port is closed may be on its way out: the kubelet tells of it within this.
const LAG: Duration = Duration::from_secs(3);

/// What became of a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its phase in the end, or `gone`; absent where it still hangs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What was done, and what came of it.
    pub did: Vec<String>,
    /// Rights that were missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// A pod being let go.
struct Release<'a> {
    cluster: &'a Cluster,
    pod: &'a Hanging,
    image: &'a str,
    did: Vec<String>,
    missing: Vec<String>,
}

/// Ends a pod's sidecars, and waits until it is over, or has had this long for it.
pub async fn release(cluster: &Cluster, pod: &Hanging, image: &str, patience: Duration) -> Outcome {
    let start = Instant::now();
    let mut release = Release { cluster, pod, image, did: Vec::new(), missing: Vec::new() };
    let ended = match release.all(start + patience).await {
        Ok(ended) => ended,
        Err(error) => {
            release.failed(&pod.name(), error);
            None
        }
    };
    let Release { did, missing, .. } = release;
    let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Outcome { ended, did, missing, seconds }
}

// === impl Release ===

impl Release<'_> {
    async fn all(&mut self, until: Instant) -> Result<Option<String>, Denied> {
        if let Some(why) = self.pod.hopeless() {
            // One that stays is enough, so the others are not touched.
            self.did.push(why);
            return Ok(None);
        }
        // It was found a while ago where many hang, and its endpoint is called by its name: another of that name may
        // be at work by now.
        if let Ended::Pod(how) = self.wait(Instant::now(), |_| false).await? {
            return Ok(Some(how));
        }
        let mut acted = false;
        for holder in &self.pod.sidecars {
            acted |= self.end(holder).await?;
        }
        let ended = self.wait(if acted { until } else { Instant::now() }, |_| false).await?;
        if let Ended::NotYet(state) = &ended {
            self.say_what_stays(state);
        }
        Ok(ended.how())
    }

    /// Ends one container, by its endpoint or else by its image; whether that can come to something.
    async fn end(&mut self, holder: &Holder) -> Result<bool, Denied> {
        let Holder { container, kind, no_swap } = holder;
        match kind {
            // One that was held up when it was found may run by now.
            Kind::Reaper { told, waits } if waits.is_none() || self.runs(container).await? => {
                if *told {
                    self.did.push(format!("{container}: was told before"));
                    return Ok(true);
                }
                return Ok(match self.cluster.tell_reaper(self.pod).await {
                    Ok(()) => {
                        self.did.push(format!("{container}: told that the mains are done"));
                        true
                    }
                    Err(error) => self.failed(container, error),
                });
            }
            Kind::Sidecar { endpoint: Some(endpoint), .. } => {
                let Hanging { namespace, pod, .. } = self.pod;
                match call(self.cluster, namespace, pod, endpoint).await {
                    Ok(status) => {
                        self.did.push(format!("{container}: {endpoint} answered {}", status.as_u16()));
                        return Ok(true);
                    }
                    // It is there, and will not.
                    Err(refusal @ Refusal::Answer(_)) => {
                        self.did.push(format!("{container}: {endpoint} {refusal}"));
                    }
                    // Nothing was asked, so nothing is on its way out.
                    Err(Refusal::NoWay(error @ Denied::Right { .. })) => {
                        self.failed(container, error);
                    }
                    Err(refusal) => {
                        match refusal {
                            Refusal::NoWay(error) => drop(self.failed(container, error)),
                            refusal => self.did.push(format!("{container}: {endpoint} {refusal}")),
                        }
                        let is_gone = |state: &State| state.terminated(container).is_some();
                        if !matches!(self.wait(Instant::now() + LAG, is_gone).await?, Ended::NotYet(_)) {
                            return Ok(true);
                        }
                    }
                }
            }
            Kind::Sidecar { .. } | Kind::Noop { .. } | Kind::Reaper { .. } => {}
        }
        if let Some(why) = no_swap {
            self.did.push(format!("{container}: {why}"));
            return Ok(false);
        }
        match self.cluster.swap(self.pod, container, self.image).await {
            Ok(()) => {
                self.did.push(format!("{container}: image swapped"));
                Ok(true)
            }
            Err(error) => Ok(self.failed(container, error)),
        }
    }

    /// Notes what failed; nothing comes of it.
    fn failed(&mut self, what: &str, error: Denied) -> bool {
        if let Denied::Right { right, .. } = &error {
            self.missing.push(right.clone());
        }
        self.did.push(format!("{what}: {error}"));
        false
    }

    /// Whether the container runs at this moment.
    async fn runs(&self, container: &str) -> Result<bool, Denied> {
        Ok(matches!(self.wait(Instant::now(), |state| state.runs(container)).await?, Ended::Enough))
    }

    /// Waits until the pod is over, or `enough` of it is.
    async fn wait(&self, until: Instant, enough: impl Fn(&State) -> bool) -> Result<Ended, Denied> {
        loop {
            let state = match self.cluster.pod(&self.pod.namespace, &self.pod.pod).await {
                Ok(raw) => State::read(&raw).map_err(|error| Denied::Unreadable(self.pod.name(), error))?,
                Err(Denied::Gone(_)) => return Ok(Ended::Pod("gone".to_owned())),
                Err(error) => return Err(error),
            };
            if state.metadata.uid != self.pod.uid {
                return Ok(Ended::Pod("gone".to_owned()));
            }
            if state.is_over() {
                return Ok(Ended::Pod(state.status.phase));
            }
            if enough(&state) {
                return Ok(Ended::Enough);
            }
            if Instant::now() >= until {
                return Ok(Ended::NotYet(Box::new(state)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn say_what_stays(&mut self, state: &State) {
        for Holder { container, .. } in &self.pod.sidecars {
            if state.terminated(container).is_none() {
                let how =
                    state.waiting(container).map_or("still runs".to_owned(), |why| format!("is in {why}"));
                self.did.push(format!("{container}: {how}"));
            }
        }
    }
}

/// How a wait ended.
enum Ended {
    Pod(String),
    Enough,
    NotYet(Box<State>),
}

// === impl Ended ===

impl Ended {
    fn how(self) -> Option<String> {
        match self {
            Self::Pod(how) => Some(how),
            Self::Enough | Self::NotYet(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
