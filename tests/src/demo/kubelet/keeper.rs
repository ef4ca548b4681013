//! The thread behind a pod.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Phase, Shared};
use crate::demo::{
    node::{Node, Placed},
    pod::{Container, RestartPolicy},
    process::{Ended, Process, Start},
};

/// Between two looks at a process: the precision of every time in the demo.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// A real kubelet waits 10 s before it restarts a container for the first time.
const BACK_OFF: Duration = Duration::from_millis(400);

/// The thread that looks after one pod.
pub(super) struct Keeper {
    pub(super) node: Arc<Node>,
    pub(super) placed: Placed,
    pub(super) shared: Arc<Shared>,
}

/// A regular container and what runs of it.
struct Slot {
    index: usize,
    process: Option<Process>,
    restart_at: Option<Instant>,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn run(self) {
        if let Err(error) = self.keep() {
            self.shared.update(|state| {
                state.error = Some(error.to_string());
                state.phase = Phase::Failed;
            });
        }
    }

    fn keep(&self) -> io::Result<()> {
        for container in &self.placed.pod.spec.init_containers {
            if Some(container.name.as_str()) == self.placed.mesh.redirect() {
                continue;
            }
            let argv: Vec<&str> = container.argv().collect();
            let code = self.run_once(container, &argv, &mut [])?;
            if code != Some(0) {
                return Err(io::Error::other(format!(
                    "init container {} ended with {code:?}",
                    container.name
                )));
            }
        }
        self.shared.update(|state| state.phase = Phase::Running);

        let mut slots = Vec::new();
        for (index, container) in self.placed.pod.spec.containers.iter().enumerate() {
            let mut slot =
                Slot { index, process: None, restart_at: Some(Instant::now() + self.late(container)) };
            self.tend(&mut slot)?;
            slots.push(slot);
            if let Some(hook) = container.post_start() {
                let argv: Vec<&str> = hook.iter().map(String::as_str).collect();
                self.run_once(container, &argv, &mut slots)?;
            }
        }
        while !self.shared.order().stop {
            self.tend_all(&mut slots)?;
            if slots.iter().all(|slot| slot.process.is_none() && slot.restart_at.is_none()) {
                self.finish();
                return Ok(());
            }
            thread::sleep(TICK);
        }
        // A supervisor wants its proxy until its own end, so the proxies go last.
        slots.sort_by_key(|slot| self.container(slot).name == self.placed.mesh.proxy());
        slots.iter_mut().filter_map(|slot| slot.process.as_mut()).for_each(Process::terminate);
        Ok(())
    }

    /// Runs an init container or a hook to its end; `None` when the pod is to stop.
    fn run_once(&self, container: &Container, argv: &[&str], slots: &mut [Slot]) -> io::Result<Option<i32>> {
        let places = self.placed.places(container, &self.node);
        let argv = argv.iter().map(|word| places.apply(word)).collect();
        let mut process = Process::start(&self.start(container, argv))?;
        while !self.shared.order().stop {
            if let Some(ended) = process.poll()? {
                return Ok(Some(ended.code));
            }
            self.tend_all(slots)?;
            thread::sleep(TICK);
        }
        process.terminate();
        Ok(None)
    }

    fn tend_all(&self, slots: &mut [Slot]) -> io::Result<()> {
        if let Some(name) = self.shared.order().end.take()
            && let Some(slot) = slots.iter_mut().find(|slot| self.container(slot).name == name)
            && let Some(process) = &mut slot.process
        {
            process.terminate();
        }
        slots.iter_mut().try_for_each(|slot| self.tend(slot))
    }

    /// Starts a container that is due and notices one that has ended.
    fn tend(&self, slot: &mut Slot) -> io::Result<()> {
        let container = self.container(slot);
        if slot.restart_at.is_some_and(|due| due <= Instant::now()) {
            slot.process = Some(Process::start(&self.start(container, self.argv(container)))?);
            slot.restart_at = None;
            self.shared.update(|state| state.containers[slot.index].running = true);
        }
        let Some(process) = &mut slot.process else { return Ok(()) };
        let Some(ended) = process.poll()? else { return Ok(()) };
        slot.process = None;
        let again = match self.placed.pod.spec.restart_policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => ended.code != 0,
            RestartPolicy::Never => false,
        };
        slot.restart_at = again.then(|| Instant::now() + BACK_OFF);
        self.shared.update(|state| {
            let container = &mut state.containers[slot.index];
            (container.running, container.ended) = (false, Some(ended));
            container.restarts += u32::from(again);
        });
        Ok(())
    }

    fn finish(&self) {
        self.shared.update(|state| {
            let ends: Vec<Ended> = state.containers.iter().filter_map(|container| container.ended).collect();
            let failed = ends.iter().any(|ended| ended.code != 0);
            state.phase = if failed { Phase::Failed } else { Phase::Succeeded };
            state.finished_at = ends.iter().map(|ended| ended.at).max();
        });
    }

    fn container(&self, slot: &Slot) -> &Container {
        &self.placed.pod.spec.containers[slot.index]
    }

    fn start(&self, container: &Container, argv: Vec<String>) -> Start {
        Start {
            argv,
            env: self.placed.env(container, &self.node),
            log: self.placed.log(container),
            dir: self.placed.container_folder(container),
        }
    }

    /// A real Envoy is ready in no time; that it comes late is as if its image were still being pulled.
    fn late(&self, container: &Container) -> Duration {
        let real_proxy = self.node.real.is_some() && container.name == self.placed.mesh.proxy();
        if real_proxy { self.placed.proxy_ready_after } else { Duration::ZERO }
    }

    fn argv(&self, container: &Container) -> Vec<String> {
        let places = self.placed.places(container, &self.node);
        let argv = container.argv().map(|word| places.apply(word));
        if container.name != self.placed.mesh.proxy() {
            return argv.collect();
        }
        if let Some(real) = &self.node.real {
            let program = [real.envoy.to_string_lossy().into_owned()];
            // Two Envoys on one machine would share the memory that hot restart uses; two pods do not.
            return program.into_iter().chain(argv).chain(["--disable-hot-restart".to_owned()]).collect();
        }
        let late = format!("{}ms", self.placed.proxy_ready_after.as_millis());
        let words = ["--shape", self.placed.mesh.shape(), "--ready-after", &late, "--log", "requests"];
        let address = ["--address".to_owned(), self.placed.address.to_string()];
        let program = self.node.standin.to_string_lossy().into_owned();
        [program].into_iter().chain(words.map(str::to_owned)).chain(address).collect()
    }
}
