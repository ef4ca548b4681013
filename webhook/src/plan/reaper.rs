//! The strategy `reaper`: a container that ends the sidecars once the watch has said, by an annotation, that the mains
//! are done. It needs to know of no command; the same container is the net beside `await`, for wrappers that are killed.

use serde::Serialize;
use serde_json::Value;

use super::{
    Case, Edits, Found, Net, RUN_DIR, RUN_VOLUME, Survey, Wish,
    added::{AddedContainer, AddedMount, AddedVariable, AddedVolume},
    deliver, hooks, resources, wrap,
};
use crate::pod::{Container, Pod, Volume};

/// Name of the reaper.
pub const REAPER_CONTAINER: &str = "curfew-reaper";
/// Volume with the watch's word in it.
pub const DONE_VOLUME: &str = "curfew-done";
/// Where the reaper finds it. The whole folder: a file mounted by itself never changes.
pub const DONE_DIR: &str = "/.curfew/done";

const DONE_FILE: &str = "done";
const DONE_PATH: &str = "/.curfew/done/done";
const DONE_FIELD: &str = "metadata.annotations['curfew.dev/done']";
/// Its pod's UID, as no other's word counts.
const UID: &str = "CURFEW_POD_UID";

/// What is added to the pod so that it is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaper {
    /// The container, behind all others.
    pub container: AddedContainer,
    /// Volumes.
    pub volumes: Vec<AddedVolume>,
}

/// Whether a container is the reaper, and not only called so.
pub fn is_reaper(container: &Container<'_>) -> bool {
    let [program, verb, ..] = &container.command[..] else { return false };
    container.name == REAPER_CONTAINER && *program == deliver::IN_IMAGE && *verb == "reap"
}

/// Whether a reaper that is there has what it needs beside its command.
pub fn is_intact(container: &Container<'_>) -> bool {
    container.env.iter().any(|variable| variable.name == UID && variable.value_from.is_some())
        && container.volume_mounts.iter().any(|m| m.name == DONE_VOLUME && m.mount_path == DONE_DIR)
}

/// Whether a volume is the reaper's, and not only called so.
pub fn is_done_volume(volume: &Volume<'_>) -> bool {
    let shown = volume.downward_api.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    volume.name == DONE_VOLUME
        && shown.is_some_and(|shown| {
            let item = &shown["items"][0];
            item["path"] == DONE_FILE && item["fieldRef"]["fieldPath"] == DONE_FIELD
        })
}

/// Whether a reaper could end the sidecars of this pod, whichever they are.
///
/// # Errors
/// Why not.
pub(super) fn may_be_added(case: Case<'_>) -> Result<(), String> {
    if let Some(why) = case.no_reaper {
        return Err(why.to_owned());
    }
    if !case.context.watch {
        return Err("Curfew's watch, which tells a reaper that the mains are done, is off here".to_owned());
    }
    wrap::each_main(case.pod, case.survey, false)?;
    conflict(case.pod).map_or(Ok(()), Err)
}

/// Everything `reaper` changes.
///
/// # Errors
/// Why it does not apply.
pub(super) fn edits(case: Case<'_>) -> Result<Edits, String> {
    if case.survey.classic().next().is_none() {
        return Err("no sidecar holds the pod".to_owned());
    }
    may_be_added(case)?;
    let mut edits = Edits { env: wrap::openers(case)?, ..Edits::default() };
    if case.wishes.strategy != Wish::Reaper {
        wrap::add_waits(case, &mut edits);
    }
    let wrapped: Vec<_> = edits.wraps.iter().map(|wrap| wrap.index).collect();
    edits.wraps.extend(wrap::undo(case.pod).into_iter().filter(|wrap| !wrapped.contains(&wrap.index)));
    edits.wraps.sort_by_key(|wrap| wrap.index);
    edits.reaper = Some(reaper(case, false));
    Ok(edits)
}

/// The reaper beside `await`; none where nobody wants it, or the watch is not there.
///
/// # Errors
/// Something has a name of it, or it may not be added.
pub(super) fn net(case: Case<'_>) -> Result<Option<Reaper>, String> {
    let Case { pod, survey, wishes, context, no_reaper } = case;
    if !context.watch || wishes.net == Net::Off || survey.classic().next().is_none() {
        return Ok(None);
    }
    no_reaper.map(str::to_owned).or_else(|| conflict(pod)).map_or_else(|| Ok(Some(reaper(case, true))), Err)
}

/// Whether there is a net beside `await`, where it could have been.
pub(super) fn note_on_net(case: Case<'_>, edits: &Edits) -> Option<String> {
    match (&edits.reaper, net(case)) {
        (Some(_), _) => Some(format!(
            "{REAPER_CONTAINER} stands by: it ends the sidecars should a wrapper be killed along with its main"
        )),
        (None, Err(conflict)) => Some(format!("no {REAPER_CONTAINER} stands by: {conflict}")),
        (None, Ok(_)) => None,
    }
}

/// One sentence on what is done.
pub(super) fn reason(survey: &Survey<'_>) -> String {
    let names: Vec<_> = survey.classic().map(|found| &*found.container.name).collect();
    format!("{REAPER_CONTAINER} quits {} once the watch has seen every main finish", names.join(", "))
}

/// Mains that may start before a sidecar is ready, as nothing makes them wait.
pub(super) fn notes(case: Case<'_>, edits: &Edits) -> Vec<String> {
    let Case { survey, .. } = case;
    let free: Vec<_> = survey.mains.iter().filter(|(index, _)| !edits.wraps_main(*index)).collect();
    let Some(first) = free.iter().map(|(index, _)| *index).min() else { return Vec::new() };
    let names: Vec<_> = free.iter().map(|(_, main)| &*main.name).collect();
    // The kubelet starts containers in their order, each when the hook of the one before it is done.
    let holds = |found: &&Found<'_>| found.index < first && hooks::has_post_start(found.container);
    let unheld = survey.classic().filter(|found| !holds(found)).chain(survey.ungated());
    let unheld: Vec<_> = unheld.filter(|found| found.endpoints.ready.is_some()).collect();
    if unheld.is_empty() {
        return Vec::new();
    }
    let sidecars: Vec<_> = unheld.iter().map(|found| &*found.container.name).collect();
    let mends = unheld.iter().filter_map(|found| Some(&found.row.hold.as_ref()?.annotation));
    let mends: Vec<_> = mends.map(|key| format!("; {key} can have the mesh hold it")).collect();
    vec![format!(
        "{} may start before {}, as nothing here waits{}",
        names.join(", "),
        sidecars.join(", "),
        mends.concat()
    )]
}

/// Why it cannot come into the pod, if so: something else has a name of it.
fn conflict(pod: &Pod<'_>) -> Option<String> {
    let Pod { spec, .. } = pod;
    let in_the_way = |c: &Container<'_>| c.name == REAPER_CONTAINER && !is_reaper(c);
    let taken_by_init = spec.init_containers.iter().any(|c| c.name == REAPER_CONTAINER);
    if taken_by_init || spec.containers.iter().any(in_the_way) {
        return Some(format!("container name {REAPER_CONTAINER} is taken; rename it"));
    }
    let is_taken = |volume: &&Volume<'_>| match &*volume.name {
        DONE_VOLUME => !is_done_volume(volume),
        _ => deliver::takes_no_token(volume) && !deliver::has_been_here(pod),
    };
    let taken = spec.volumes.iter().find(is_taken)?;
    Some(format!("volume name {} is taken; rename it", taken.name))
}

/// The reaper of these sidecars; with `tombstones`, beside wrappers that tell it when they have ended them.
fn reaper(case: Case<'_>, tombstones: bool) -> Reaper {
    let Case { pod, survey, context, .. } = case;
    let mut command: Vec<String> =
        [deliver::IN_IMAGE, "reap", "--done", DONE_PATH, "--uid", "$(CURFEW_POD_UID)"]
            .map(str::to_owned)
            .into();
    let mut flag = |name: &str, value: &str| command.extend([name.to_owned(), value.to_owned()]);
    if tombstones {
        flag("--tombstones", RUN_DIR);
        flag("--mains", &survey.mains.len().to_string());
    }
    let (last, first): (Vec<_>, Vec<_>) = survey.classic().partition(|found| found.row.carries_traffic);
    for found in first.into_iter().chain(last) {
        if let Some(url) = &found.endpoints.shutdown {
            flag(found.row.shutdown_flag(), url);
        }
    }
    // The default, as nothing else is said of the container's.
    flag("--message", "/dev/termination-log");
    let others: Vec<_> = pod.spec.containers.iter().filter(|container| !is_reaper(container)).collect();
    let resources = resources::standing_by(pod, &others, context.settings);
    let mut container = deliver::container(REAPER_CONTAINER, command, resources, pod, context.settings);
    container.env.push(AddedVariable::of_field(UID, "metadata.uid"));
    let done = AddedMount { name: DONE_VOLUME, mount_path: DONE_DIR, read_only: true };
    container.volume_mounts.insert(0, done);
    let mut volumes = vec![AddedVolume::of_field(DONE_VOLUME, DONE_FILE, DONE_FIELD), deliver::no_token()];
    if tombstones {
        container.volume_mounts.push(AddedMount { name: RUN_VOLUME, mount_path: RUN_DIR, read_only: false });
        volumes.push(AddedVolume::empty(RUN_VOLUME, "1Mi"));
    }
    Reaper { container, volumes }
}
