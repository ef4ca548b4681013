//! Where native sidecars go among the init containers.

use serde::Serialize;

use super::{Found, HookEdit, Survey, deliver, gate, reaper};
use crate::{
    catalogue::Native,
    pod::{Container, Pod, Volume},
};

/// A container that changes its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Its name.
    pub container: String,
    /// Where it is when its turn comes.
    pub from: Place,
    /// Its place in `initContainers` then.
    pub to: usize,
    /// What changes in a sidecar that becomes native; an init container stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// What changes in a sidecar that becomes native, besides its restart policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Its hooks.
    pub hooks: Vec<HookEdit>,
    /// Its startup probe goes: the gate asks the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_startup_probe: bool,
}

/// A container's place in its list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// In `containers`.
    Container(usize),
    /// In `initContainers`.
    Init(usize),
}

/// The init containers as they stand after the moves so far.
pub(super) struct Layout<'a> {
    order: Vec<Slot<'a>>,
    /// How many were brought to the front.
    front: usize,
    /// Places in `containers` that are left.
    taken: Vec<usize>,
    moves: Vec<Move>,
    volumes: &'a [Volume<'a>],
}

struct Slot<'a> {
    container: &'a Container<'a>,
    kind: Kind,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Sidecar { moved: bool, carries: bool },
    Gate,
    Other,
}

impl<'a> Layout<'a> {
    /// The init containers as they came.
    pub(super) fn of(pod: &'a Pod<'_>, survey: &Survey<'_>) -> Self {
        let gate = gate::place(pod);
        let kind = |index| match survey.native().find(|found| found.index == index) {
            Some(found) => Kind::Sidecar { moved: false, carries: found.row.carries_traffic },
            None if Some(index) == gate => Kind::Gate,
            None => Kind::Other,
        };
        let containers = pod.spec.init_containers.iter().enumerate();
        let order = containers.map(|(index, container)| Slot { container, kind: kind(index) }).collect();
        // A reaper of an earlier pass is taken out before anything moves.
        let reapers = pod.spec.containers.iter().enumerate().filter(|(_, c)| reaper::is_reaper(c));
        let taken = reapers.map(|(index, _)| index).collect();
        Self { order, front: 0, taken, moves: Vec::new(), volumes: &pod.spec.volumes }
    }

    /// Whether an init container has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.order.iter().any(|slot| slot.container.name == name)
    }

    /// Brings a classic sidecar in. First those that carry traffic: the others go behind them, so that they have a
    /// network from their start to their end (the kubelet ends sidecars from the last one on).
    pub(super) fn bring_in(&mut self, found: &Found<'a>, row: &Native, conversion: Conversion) {
        let (container, carries) = (found.container, found.row.carries_traffic);
        let to = self.place_for(container, row, carries);
        if to <= self.front {
            self.front += 1;
        }
        let gone = self.taken.iter().filter(|index| **index < found.index).count();
        let from = Place::Container(found.index - gone);
        self.taken.push(found.index);
        self.order.insert(to, Slot { container, kind: Kind::Sidecar { moved: true, carries } });
        let container = str::to_owned(&container.name);
        self.moves.push(Move { container, from, to, conversion: Some(conversion) });
    }

    fn place_for(&mut self, sidecar: &Container<'_>, row: &Native, carries: bool) -> usize {
        let is_one_of = |slot: &Slot<'_>, names: &[String]| {
            slot.kind == Kind::Other && names.iter().any(|name| slot.container.name == *name)
        };
        let is_carrier = |slot: &Slot<'_>| matches!(slot.kind, Kind::Sidecar { carries: true, .. });
        let own = self.order.iter().rposition(|slot| is_one_of(slot, &row.behind));
        let carrier = self.order.iter().rposition(is_carrier).filter(|_| !carries);
        if own.or(carrier).is_none() {
            let slots = self.order.iter().enumerate();
            let validators = slots.filter(|(_, slot)| is_one_of(slot, &row.validators));
            let places: Vec<_> = validators.map(|(place, _)| place).collect();
            for place in &places {
                self.bring_forward(*place);
            }
            if !places.is_empty() {
                // Traffic is sent to it already: nothing in front of it has a network.
                return self.front;
            }
        }
        let Some(before) = own.or_else(|| carrier.max(self.feeder(sidecar))) else { return self.front };
        // Behind those that came in before it, so that their order stays.
        let after = self.order[before + 1..].iter();
        let came_in = |slot: &&Slot<'_>| matches!(slot.kind, Kind::Sidecar { moved: true, .. });
        before + 1 + after.take_while(came_in).count()
    }

    /// The last init container that may write what the sidecar reads (its configuration, a credential): they share a folder
    /// that is empty before, and the sidecar came after it so far.
    fn feeder(&self, sidecar: &Container<'_>) -> Option<usize> {
        let is_empty = |name: &str| self.volumes.iter().any(|v| v.name == name && v.empty_dir.is_some());
        let mounts = |container: &Container<'_>, folder: &str| {
            container.volume_mounts.iter().any(|mount| mount.name == folder)
        };
        let folders = sidecar.volume_mounts.iter().map(|mount| &*mount.name).filter(|name| is_empty(name));
        let folders: Vec<_> = folders.collect();
        let feeds = |Slot { container, kind }: &Slot<'_>| {
            *kind == Kind::Other
                && !deliver::is_installer(container)
                && folders.iter().any(|folder| mounts(container, folder))
        };
        self.order.iter().rposition(feeds)
    }

    /// Behind everything brought there before it. What stands between moves back by one, so other places hold.
    fn bring_forward(&mut self, place: usize) {
        if place < self.front {
            return;
        }
        if place > self.front {
            let slot = self.order.remove(place);
            let container = str::to_owned(&slot.container.name);
            let (from, to) = (Place::Init(place), self.front);
            self.moves.push(Move { container, from, to, conversion: None });
            self.order.insert(to, slot);
        }
        self.front += 1;
    }

    /// The names of the sidecars in their order.
    pub(super) fn sidecars(&self) -> impl Iterator<Item = &'a str> {
        let sidecars = self.order.iter().filter(|slot| matches!(slot.kind, Kind::Sidecar { .. }));
        sidecars.map(|slot| &*slot.container.name)
    }

    /// The moves, without a gate.
    pub(super) fn moves(self) -> Vec<Move> {
        self.moves
    }

    /// The moves, and the place of the gate: right behind the last sidecar, so that whatever comes after has the
    /// network. One that is there and behind them stays where it is; one that is not is moved, too.
    pub(super) fn with_gate(mut self) -> (Vec<Move>, GatePlace) {
        let last = self.order.iter().rposition(|slot| matches!(slot.kind, Kind::Sidecar { .. }));
        let gate = self.order.iter().position(|slot| slot.kind == Kind::Gate);
        match (gate, last) {
            (None, last) => (self.moves, GatePlace::New(last.map_or(0, |last| last + 1))),
            (Some(gate), Some(last)) if gate < last => {
                let (container, from) = (gate::GATE.to_owned(), Place::Init(gate));
                self.moves.push(Move { container, from, to: last, conversion: None });
                (self.moves, GatePlace::There(last))
            }
            (Some(gate), _) => (self.moves, GatePlace::There(gate)),
        }
    }
}

/// The gate's place in `initContainers` after all moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GatePlace {
    /// It is to be added here.
    New(usize),
    /// It is there from an earlier pass.
    There(usize),
}
