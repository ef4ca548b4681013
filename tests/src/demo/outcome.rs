//! What became of a pod.

use std::time::Duration;

use super::{
    fixtures::Role,
    kubelet::{Phase, RunningPod},
    mesh::Mesh,
    operator::main_of,
    story::short,
};

/// What became of one pod.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) mesh: Mesh,
    pub(super) role: Role,
    pub(super) job: String,
    pub(super) phase: Phase,
    /// The main's exit code, if it has ended.
    pub(super) code: Option<i32>,
    /// The proxy's exit code, if it has ended.
    pub(super) proxy_code: Option<i32>,
    pub(super) restarts: u32,
    /// From the end of the main's command to the end of the pod.
    pub(super) after_work: Option<Duration>,
    pub(super) error: Option<String>,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(role: Role, pod: &RunningPod, mesh: Mesh) -> Self {
        let state = pod.state();
        let main = state.container(&main_of(pod, mesh)).cloned();
        let ended = main.as_ref().filter(|main| !main.running).and_then(|main| main.ended);
        let proxy = state.container(mesh.proxy()).and_then(|proxy| proxy.ended);
        let after_work = match (ended, state.finished_at) {
            (Some(ended), Some(finished)) => Some(finished.saturating_duration_since(ended.command_at)),
            _ => None,
        };
        Self {
            mesh,
            role,
            job: pod.placed.pod.job_name().to_owned(),
            phase: state.phase,
            code: ended.map(|ended| ended.code),
            proxy_code: proxy.map(|ended| ended.code),
            restarts: main.map_or(0, |main| main.restarts),
            after_work,
            error: state.error,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// The main in a few words.
    pub(super) fn main(&self) -> String {
        let code = match self.code {
            Some(code) => format!("exit {code}"),
            None => "waits for ever".to_owned(),
        };
        match self.restarts {
            0 => code,
            1 => format!("{code} after 1 restart"),
            n => format!("{code} after {n} restarts"),
        }
    }

    /// The pod in a few words.
    pub(super) fn pod(&self) -> String {
        match (self.is_over(), self.after_work) {
            (true, Some(time)) => format!("{:?}, {} after its work", self.phase, short(time)),
            (true, None) => format!("{:?}", self.phase),
            (false, _) => "hangs".to_owned(),
        }
    }
}
