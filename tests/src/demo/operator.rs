//! What k6-operator does with a TestRun, reading pods as it does: the initializer's phase and log, the
//! runners' phase and `/v1/status`, and of the starter nothing at all.

use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;

use super::{
    fixtures::{self, Cast, Role},
    http,
    kubelet::{PodState, RunningPod},
    mesh::Mesh,
    node::Node,
    pod::Pod,
    story::Story,
};

/// Everything that is to happen happens within this, or not at all.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(50);
/// Runners in the TestRun.
const PARALLELISM: u64 = 2;

/// Pods that run, each with its part.
pub(super) type Pods = Vec<(Role, RunningPod)>;

/// Creates pods and looks at them as k6-operator and the Job controller do.
pub(super) struct Operator<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) story: &'a Story,
    pub(super) mesh: Mesh,
    /// Names the pods' folders: `unpatched` or `patched`.
    pub(super) variant: &'a str,
}

// === impl Operator ===

impl Operator<'_> {
    /// Creates the pods of these roles; the runners must be there before the starter can call them.
    pub(super) fn create(&self, cast: &[Cast], roles: &[Role], pods: &mut Pods) -> anyhow::Result<()> {
        for one in cast.iter().filter(|one| roles.contains(&one.role)) {
            let pod = Pod::from_json(&one.json).with_context(|| format!("{} {:?}", self.mesh, one.role))?;
            let mut placed = self.node.place(pod, self.mesh, self.variant, one.proxy_ready_after);
            for (cluster_ip, job) in fixtures::services()? {
                let runner = pods.iter().find(|(_, pod)| pod.placed.pod.job_name() == job);
                placed.services.extend(runner.map(|(_, pod)| (cluster_ip, pod.placed.address)));
            }
            let pod = RunningPod::start(self.node, placed)?;
            pods.push((one.role, pod));
        }
        Ok(())
    }

    /// What k6-operator makes of the initializer's log: the whole of it must be JSON with enough VUs.
    pub(super) fn read_inspection(&self, initializer: &RunningPod) -> Result<Value, String> {
        let main = main_of(initializer, self.mesh);
        let container = initializer.placed.pod.spec.containers.iter().find(|one| one.name == main);
        let log = container.map(|one| initializer.placed.log(one)).ok_or("no main")?;
        let text = fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let inspection: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error} in {text:?}"))?;
        let vus = inspection["maxVUs"].as_u64();
        match (inspection["totalDuration"].as_str(), vus) {
            (Some(_), Some(vus)) if vus >= PARALLELISM => Ok(inspection),
            _ => Err(format!("totalDuration or maxVUs is wrong in {inspection}")),
        }
    }

    /// Waits until both runners run and answer; then, and only then, k6-operator creates the starter.
    pub(super) fn wait_for_runners(&self, pods: &Pods) -> bool {
        let until = Instant::now() + PATIENCE;
        runners(pods).all(|runner| {
            let main = main_of(runner, self.mesh);
            let running = |state: &PodState| state.container(&main).is_some_and(|main| main.running);
            let status = format!("http://{}:6565/v1/status", runner.placed.address);
            runner.wait(until.saturating_duration_since(Instant::now()), running)
                && retry_until(until, || http::status(&status).is_some_and(|status| status < 400))
        })
    }
}

/// The pod that plays this part.
pub(super) fn find(pods: &Pods, role: Role) -> anyhow::Result<&RunningPod> {
    let found = pods.iter().find(|(one, _)| *one == role).map(|(_, pod)| pod);
    found.with_context(|| format!("no pod plays {role:?}"))
}

pub(super) fn runners(pods: &Pods) -> impl Iterator<Item = &RunningPod> {
    pods.iter().filter(|(role, _)| matches!(role, Role::Runner(_))).map(|(_, pod)| pod)
}

/// The container that does the work.
pub(super) fn main_of(pod: &RunningPod, mesh: Mesh) -> String {
    let containers = &pod.placed.pod.spec.containers;
    let main = containers.iter().find(|one| one.name != mesh.proxy());
    main.map(|one| one.name.clone()).unwrap_or_default()
}

fn retry_until(until: Instant, mut attempt: impl FnMut() -> bool) -> bool {
    loop {
        if attempt() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(RETRY);
    }
}
