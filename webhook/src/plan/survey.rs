//! What a pod is made of: its workload, its sidecars, its mains.

use std::collections::BTreeMap;

use super::{
    MAIN_CONTAINERS, SIDECARS, Wishes, gate,
    kubelets::{Kubelets, Support},
    reaper,
    strategy::may_go_native,
};
use crate::{
    catalogue::{Catalogue, Resolved, Sidecar, Workload},
    pod::{Container, Pod},
};

/// How a sidecar sits in the pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// In `containers`: it holds the pod until it is quit.
    Classic,
    /// In `initContainers` with `restartPolicy: Always`: the kubelet ends it.
    Native,
}

/// A sidecar found in the pod.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Its container.
    pub container: &'a Container<'a>,
    /// Its place in the list its form says.
    pub index: usize,
    /// How it sits in the pod.
    pub form: Form,
    /// What the catalogue knows of it.
    pub row: &'a Sidecar,
    /// Its endpoints in this pod.
    pub endpoints: Resolved,
    /// It was made native, and a later hook took its restart policy away (one compiled against a Pod without it).
    pub stripped: bool,
    /// Its startup probe asks what a gate asks, and nothing else of it counts on that probe.
    pub gate_asks_the_same: bool,
}

/// What a pod is made of.
#[derive(Clone, Debug)]
pub struct Survey<'a> {
    /// Who made it; absent where no row matches.
    pub workload: Option<&'a Workload>,
    /// Its sidecars, in the pod's order, native ones first.
    pub sidecars: Vec<Found<'a>>,
    /// The containers that do its work, with their places.
    pub mains: Vec<(usize, &'a Container<'a>)>,
    /// Regular containers that are neither: nobody waits for them.
    pub others: Vec<&'a str>,
    /// What looked like a sidecar and is none.
    pub warnings: Vec<String>,
    /// The catalogue's rows about other wrappers.
    pub catalogue: &'a Catalogue,
    /// What the gate of an earlier pass waits for.
    pub gated: Vec<&'a str>,
    /// Why a startup probe of a native sidecar may hold the mains up for ever, if so (kubernetes#132826).
    pub probes_hang: Option<&'a str>,
    /// A gate may be put into the pod.
    pub may_gate: bool,
}

impl<'a> Survey<'a> {
    /// Looks a pod over.
    pub fn of(pod: &'a Pod<'a>, wishes: &'a Wishes<'_>, kubelets: &'a Kubelets) -> Self {
        let catalogue: &Catalogue = &wishes.catalogue;
        let mut survey = Self {
            workload: catalogue.workloads.iter().find(|row| row.is(pod)),
            sidecars: Vec::new(),
            mains: Vec::new(),
            others: Vec::new(),
            warnings: Vec::new(),
            catalogue,
            gated: gate::waits_for(pod),
            may_gate: may_go_native(wishes, kubelets).is_ok(),
            probes_hang: match &kubelets.startup_probes {
                Support::No(why) if pod.restart_policy() == "Never" => Some(why),
                _ => None,
            },
        };
        for (index, container) in pod.spec.init_containers.iter().enumerate() {
            let is_native = container.is_native_sidecar();
            if !is_native && survey.gated.is_empty() {
                continue;
            }
            if let Some(row) = catalogue.sidecars.iter().find(|row| row.is(container, pod)) {
                let ready = row.resolve(container, pod).ready;
                if is_native || ready.is_some_and(|url| survey.gated.contains(&&*url)) {
                    survey.found(container, index, Form::Native, row, pod);
                }
            }
        }
        for (index, container) in pod.spec.containers.iter().enumerate() {
            if reaper::is_reaper(container) {
                // Of an earlier pass: it is part of what is planned.
                continue;
            }
            let named = wishes.mains.contains(&&*container.name);
            match catalogue.sidecars.iter().find(|row| row.is(container, pod)) {
                Some(row) if !named => survey.found(container, index, Form::Classic, row, pod),
                row => {
                    match row {
                        None => survey.warn_if_only_named_like_a_sidecar(container),
                        Some(row) => survey.warnings.push(format!(
                            "{MAIN_CONTAINERS}: {} is the sidecar {}; as a main it holds the pod",
                            container.name, row.name
                        )),
                    }
                    if named || wishes.mains.is_empty() {
                        survey.mains.push((index, container));
                    } else {
                        survey.other(&container.name);
                    }
                }
            }
        }
        survey
    }

    /// Name of the workload's row.
    pub fn workload_name(&self) -> &'a str {
        self.workload.map_or("unknown", |row| &row.name)
    }

    /// The sidecars that hold the pod.
    pub fn classic(&self) -> impl Iterator<Item = &Found<'a>> {
        self.sidecars.iter().filter(|found| found.form == Form::Classic && found.row.handled_by.is_none())
    }

    /// Those that somebody else ends, and who does.
    pub fn handled(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let classic = self.sidecars.iter().filter(|found| found.form == Form::Classic);
        classic.filter_map(|found| Some((&*found.container.name, found.row.handled_by.as_deref()?)))
    }

    /// The sidecars that do not hold it.
    pub fn native(&self) -> impl Iterator<Item = &Found<'a>> {
        self.sidecars.iter().filter(|found| found.form == Form::Native)
    }

    /// Native sidecars the mains do not wait for although their readiness could be asked.
    pub fn ungated(&self) -> impl Iterator<Item = &Found<'a>> {
        self.native().filter(|found| {
            let held_up = found.container.startup_probe.is_some() && !self.replaces_probe(found);
            !held_up && found.endpoints.ready.as_deref().is_some_and(|url| !self.gated.contains(&url))
        })
    }

    /// A native sidecar's startup probe has to go, and the gate can ask in its place.
    pub fn replaces_probe(&self, found: &Found<'_>) -> bool {
        self.probes_hang.is_some() && self.may_gate && found.gate_asks_the_same
    }

    /// Why the pod needs nothing, if so.
    pub fn nothing_to_do(&self) -> Option<String> {
        let has_work = self.classic().chain(self.ungated()).next().is_some();
        if has_work || self.native().any(|found| found.stripped) {
            return None;
        }
        Some(match (self.handled().next(), self.sidecars.is_empty()) {
            (Some((container, who)), _) => format!("{container}: {who}"),
            (None, true) => "no sidecar in the pod".to_owned(),
            (None, false) => "every sidecar is native and ready before the mains start".to_owned(),
        })
    }

    /// No proxy carries the pod's traffic yet, so one may still be injected.
    pub fn traffic_is_free(&self) -> bool {
        !self.sidecars.iter().any(|found| found.row.carries_traffic)
    }

    /// Every regular container and known sidecar, and what it was taken for; with classic sidecars `converted`, what
    /// they are then, which is all a second pass can see.
    pub fn roles(&self, converted: bool) -> BTreeMap<String, String> {
        let sidecars = self.sidecars.iter().map(|found| {
            let form = match found.form {
                Form::Classic if !converted || found.row.handled_by.is_some() => "classic",
                Form::Classic | Form::Native => "native",
            };
            (str::to_owned(&found.container.name), format!("{form} sidecar {}", found.row.name))
        });
        let mains =
            self.mains.iter().map(|(_, container)| (str::to_owned(&container.name), "main".to_owned()));
        let others =
            self.others.iter().map(|name| ((*name).to_owned(), "neither main nor sidecar".to_owned()));
        sidecars.chain(mains).chain(others).collect()
    }

    fn found(
        &mut self,
        container: &'a Container<'a>,
        index: usize,
        form: Form,
        row: &'a Sidecar,
        pod: &Pod<'_>,
    ) {
        let endpoints = row.resolve(container, pod);
        let stripped = form == Form::Native && !container.is_native_sidecar();
        let gate_asks_the_same = gate_asks_the_same(container, row, &endpoints, pod);
        let found = Found { container, index, form, row, endpoints, stripped, gate_asks_the_same };
        if let Some(why) = self.probes_hang
            && form == Form::Native
            && container.startup_probe.is_some()
            && !self.replaces_probe(&found)
        {
            self.warnings
                .push(format!("the startupProbe of {} may hold up the mains: {why}", container.name));
        }
        self.sidecars.push(found);
    }

    fn other(&mut self, name: &'a str) {
        self.others.push(name);
        self.warnings.push(format!(
            "container {name}: neither main nor sidecar, so nothing ends it; give it a row in {SIDECARS}"
        ));
    }

    fn warn_if_only_named_like_a_sidecar(&mut self, container: &Container<'_>) {
        let lookalike =
            self.catalogue.sidecars.iter().find(|row| !row.containers.is_empty() && row.has_name(container));
        if let Some(row) = lookalike {
            self.warnings.push(format!(
                "container {}: has the name of the sidecar {} but nothing else of it, so it is taken for a main",
                container.name, row.name
            ));
        }
    }
}

fn gate_asks_the_same(container: &Container<'_>, row: &Sidecar, endpoints: &Resolved, pod: &Pod<'_>) -> bool {
    let (Some(startup), Some(ready)) = (&container.startup_probe, &row.ready) else { return false };
    let path = ready.path();
    if endpoints.ready.is_none() || !startup.asks(path) {
        return false;
    }
    let counted_on = container.liveness_probe.is_some_and(|liveness| liveness.asks(path));
    // A second pass must come to the same port without it.
    let without = Container { startup_probe: None, ..container.clone() };
    !counted_on && row.resolve(&without, pod).ready == endpoints.ready
}
