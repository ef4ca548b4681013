//! Sidecars moved from `containers` to `initContainers`, as they are but for what their row names.

use super::{Editor, renew_image};
use crate::{
    plan::{Conversion, GATE, Gate, GatePlace, HookEdit, Move, Native, Place, Repair},
    pod::PodSpec,
};

/// These operations come last: they change the places of containers.
pub(super) fn carry_out(editor: &mut Editor, spec: &PodSpec<'_>, native: &Native) {
    let Native { repairs, moves, gate } = native;
    if let Some(Gate { volume, .. }) = gate {
        let names: Vec<_> = spec.volumes.iter().map(|volume| &*volume.name).collect();
        editor.append_missing("/spec/volumes", &names, [volume], |volume| volume.name);
    }
    for Repair { container, index, restart_policy, drop_startup_probe } in repairs {
        let path = format!("/spec/initContainers/{index}");
        editor.guarded(&path, container, |editor| {
            if *restart_policy {
                editor.add(format_args!("{path}/restartPolicy"), "Always");
            }
            if *drop_startup_probe {
                editor.remove(format_args!("{path}/startupProbe"));
            }
        });
    }
    if spec.init_containers.is_empty() && !moves.is_empty() {
        // Absent, `null` or empty: something is to be moved into it.
        editor.add(format_args!("/spec/initContainers"), &[(); 0]);
    }
    for Move { container, from, to, conversion } in moves {
        let from = match from {
            Place::Container(index) => format!("/spec/containers/{index}"),
            Place::Init(index) => format!("/spec/initContainers/{index}"),
        };
        let path = format!("/spec/initContainers/{to}");
        editor.relocate(&from, container, &path);
        if let Some(Conversion { hooks, drop_startup_probe }) = conversion {
            editor.add(format_args!("{path}/restartPolicy"), "Always");
            if *drop_startup_probe {
                editor.remove(format_args!("{path}/startupProbe"));
            }
            hooks.iter().for_each(|hook| set_hook(editor, &path, hook));
        }
    }
    if let Some(gate) = gate {
        put_gate(editor, spec, gate);
    }
}

fn put_gate(editor: &mut Editor, spec: &PodSpec<'_>, gate: &Gate) {
    let Gate { container, place, .. } = gate;
    match place {
        GatePlace::New(index) => editor.add(format_args!("/spec/initContainers/{index}"), container),
        GatePlace::There(index) => {
            let Some(own) = spec.init_containers.iter().find(|container| container.name == GATE) else {
                return;
            };
            let path = format!("/spec/initContainers/{index}");
            editor.guarded(&path, GATE, |editor| {
                renew_image(editor, &path, own, &container.image);
                editor.set(format_args!("{path}/command"), Some(&own.command[..]), &container.command[..]);
            });
        }
    }
}

fn set_hook(editor: &mut Editor, container: &str, hook: &HookEdit) {
    let path = format!("{container}/lifecycle");
    match hook {
        HookEdit::Drop(name) => editor.remove(format_args!("{path}/{name}")),
        HookEdit::PreStop(hook) => editor.add(format_args!("{path}/preStop"), hook),
        HookEdit::Whole(lifecycle) => editor.add(format_args!("{path}"), lifecycle),
        HookEdit::Remove => editor.remove(format_args!("{path}")),
    }
}
