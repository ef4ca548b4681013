//! The reaper behind the other containers: added, renewed where an earlier pass or a copied pod has one, or taken out.

use super::{Editor, renew_image};
use crate::{
    plan::{REAPER_CONTAINER, Reaper, is_intact, is_reaper},
    pod::PodSpec,
};

/// These operations come before containers are moved and after all others: they change places in `containers`.
pub(super) fn carry_out(editor: &mut Editor, spec: &PodSpec<'_>, reaper: Option<&Reaper>) {
    let found = spec.containers.iter().enumerate().filter(|(_, container)| is_reaper(container));
    let mut found: Vec<_> = found.map(|(index, _)| index).collect();
    let kept = match reaper {
        Some(_) if !found.is_empty() => Some(found.remove(0)),
        _ => None,
    };
    match (reaper, kept) {
        (Some(reaper), Some(index)) => renew(editor, spec, index, reaper),
        (Some(reaper), None) => editor.add(format_args!("/spec/containers/-"), &reaper.container),
        (None, _) => {}
    }
    // One that nobody wakes would hold the pod by itself. From the last on, so that places before it stay.
    for index in found.into_iter().rev() {
        let path = format!("/spec/containers/{index}");
        editor.take_out(&path, REAPER_CONTAINER);
    }
}

fn renew(editor: &mut Editor, spec: &PodSpec<'_>, index: usize, Reaper { container, .. }: &Reaper) {
    let (own, path) = (&spec.containers[index], format!("/spec/containers/{index}"));
    editor.guarded(&path, REAPER_CONTAINER, |editor| {
        if !is_intact(own) {
            editor.replace(format_args!("{path}"), container);
            return;
        }
        renew_image(editor, &path, own, &container.image);
        editor.set(format_args!("{path}/command"), Some(&own.command[..]), &container.command[..]);
        let paths: Vec<_> = own.volume_mounts.iter().map(|mount| &*mount.mount_path).collect();
        editor.append_missing(&format!("{path}/volumeMounts"), &paths, &container.volume_mounts, |mount| {
            mount.mount_path
        });
    });
}
