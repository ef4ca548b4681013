//! A TestRun of k6-operator, by the stage it is left at; and what its Jobs are where it is yet to be applied.
//!
//! What the operator waits for at each stage, and what it never looks at, is that of k6-operator 1.6: the initializer's
//! pod Succeeded and its whole log JSON; every runner Running at once and its API answering plain HTTP; then a starter
//! nobody looks at again; then no active pod in any runner's Job.

mod created;
mod error;
mod initialization;
mod jobs;
mod role;
mod script;
mod started;

use serde_json::Value;

pub(super) use self::{jobs::jobs, role::Role};
use super::{
    About, Explanation, Surroundings,
    containers::{self, Container, name, text},
    job, pod,
};
use crate::{
    check::{LET_IN, Seen},
    plan::{INJECT_LABEL, K6_CONTROL_PORT},
    rescue::Verdict,
};

/// The container of initializer and runners.
const K6: &str = "k6";
/// That of the starter.
const CURL: &str = "k6-curl";

/// What was seen of a TestRun.
#[derive(Debug)]
pub(super) struct TestRun {
    /// Itself.
    pub(super) object: Value,
    /// Jobs that are its.
    pub(super) jobs: Vec<Value>,
    /// Pods that are its.
    pub(super) pods: Vec<Value>,
    /// What its initializer wrote; none where there is no pod to ask.
    pub(super) initializer: Option<Seen<String>>,
    /// What its starter wrote.
    pub(super) starter: Option<Seen<String>>,
    /// What its runners' Services answer to who asks as the operator does: in plain HTTP, from outside of any mesh.
    pub(super) services: Vec<(String, Seen<Answer>)>,
    /// What events say of its Jobs, oldest first.
    pub(super) events: Vec<String>,
}

/// An answer of k6's API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// It is up, and waits to be started or not.
    Up { paused: bool },
    /// It is not reached, or somebody in between refuses.
    Refused(String),
}

/// What is to be said of a TestRun.
pub(super) fn explain(run: &TestRun, around: &Surroundings) -> Explanation {
    let mut told = Explanation::of("testrun", run.name(), run.namespace());
    match run.stage() {
        "" => {
            told.say(About::State, "has no stage: no operator has taken it up")
                .say(About::Mend, "see that k6-operator runs, and watches this namespace (WATCH_NAMESPACE)");
        }
        "initialization" => initialization::explain(run, around, &mut told),
        "initialized" => {
            told.say(About::State, "initialized: the operator makes its runners next");
        }
        "created" => created::explain(run, around, &mut told),
        "started" => started::explain(run, around, &mut told),
        "error" => error::explain(run, &mut told),
        stage => {
            told.say(About::State, format!("{stage}: it waits for nothing"));
        }
    }
    told.parts = run.pods.iter().map(|pod| pod::explain(pod, around)).collect();
    told
}

// === impl TestRun ===

impl TestRun {
    pub(super) fn name(&self) -> &str {
        name(&self.object)
    }

    fn namespace(&self) -> &str {
        text(&self.object, "/metadata/namespace")
    }

    fn stage(&self) -> &str {
        text(&self.object, "/status/stage")
    }

    fn parallelism(&self) -> usize {
        parallelism(&self.object)
    }

    /// Its Job of this role.
    fn job(&self, role: &str) -> Option<&Value> {
        let wanted = format!("{}-{role}", self.name());
        self.jobs.iter().find(|job| name(job) == wanted)
    }

    /// The pod of its Job of this role; the last where there are several.
    pub(super) fn pod(&self, role: &str) -> Option<&Value> {
        let wanted = format!("{}-{role}", self.name());
        let of = |pod: &&Value| label(pod, "job-name") == wanted;
        self.pods.iter().filter(of).max_by_key(|pod| text(pod, "/metadata/creationTimestamp").to_owned())
    }

    /// Its runners' pods.
    fn runners(&self) -> Vec<&Value> {
        self.pods.iter().filter(|pod| self.is_runner(label(pod, "job-name"))).collect()
    }

    /// Its runners' Jobs.
    fn runner_jobs(&self) -> Vec<&Value> {
        self.jobs.iter().filter(|job| self.is_runner(name(job))).collect()
    }

    /// By its Job's name: a label alone may be the user's own.
    fn is_runner(&self, job: &str) -> bool {
        let number = job.strip_prefix(self.name()).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// What starts it over, with Curfew.
    fn again(&self, around: &Surroundings) -> String {
        let namespace = self.namespace();
        if let Some(by) = &around.left_out_by {
            return format!("{by} leaves {namespace} out: run it in another namespace, or {LET_IN}");
        }
        let label = match around.label.as_deref() {
            Some("enabled") => String::new(),
            _ => format!("kubectl label --overwrite namespace {namespace} {INJECT_LABEL}=enabled; then "),
        };
        format!("{label}delete the TestRun and apply it again")
    }

    /// The same where its control port is what the mesh gets in the way of.
    fn again_in_the_open(&self, around: &Surroundings) -> String {
        let kept_in = around.namespace.annotations.get(K6_CONTROL_PORT).is_some_and(|value| value == "mesh");
        match kept_in {
            true => format!(
                "{K6_CONTROL_PORT} is `mesh` on namespace {}: let operator and starter in by a policy (manifests/policies), or set it to `bypass`",
                self.namespace()
            ),
            false => format!(
                "{}: Curfew keeps port 6565 out of the mesh for runners and starter",
                self.again(around)
            ),
        }
    }
}

/// How many runners a TestRun has.
fn parallelism(run: &Value) -> usize {
    let number = run.pointer("/spec/parallelism").and_then(Value::as_u64);
    number.and_then(|number| number.try_into().ok()).unwrap_or(1)
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    let labels = object.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// This container of a pod, as the kubelet tells of it.
fn container(pod: &Value, name: &str) -> Option<Container> {
    containers::of(pod).into_iter().find(|container| container.name == name)
}

/// What holds a pod whose work is done, if anything, and what lets it go.
fn held(pod: &Value, around: &Surroundings) -> Option<(String, String)> {
    match pod::verdict(pod, around)? {
        Verdict::Hangs(hanging) => {
            let names: Vec<_> = hanging.sidecars.iter().map(|holder| holder.container.clone()).collect();
            Some((names.join(", "), pod::held(&hanging).1))
        }
        Verdict::Fine(_) => None,
    }
}

/// Why a Job has no pod.
fn unmade(run: &TestRun) -> String {
    match job::refusal(&run.events) {
        Some(why) => format!("its pod is refused: {why}"),
        None => "its Job has no pod, and no event says why".to_owned(),
    }
}

#[cfg(test)]
mod tests;
