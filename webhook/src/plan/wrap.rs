//! The strategy `await`: the main's command runs under the wrapper, which waits for the sidecars and quits them.

use serde::Serialize;

use super::{
    AddedMount, Case, Edits, EnvEdit, ExitCodes, Found, OnTimeout, ProbeEdit, REAPER, RUN_DIR, Survey,
    Wishes, deliver, gate, hooks, prepare, probe, reaper,
};
use crate::pod::{Container, Pod, Text};

/// A command to replace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wrap {
    /// Place in `containers`.
    pub index: usize,
    /// The container's name.
    pub container: String,
    /// The new command; the arguments stay, so `$(VAR)` in them does too.
    pub command: Vec<String>,
    /// Mounts it needs.
    pub mounts: Vec<AddedMount>,
    /// Change to its startup probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<ProbeEdit>,
}

/// The command as the container's owner wrote it, without a wrapper of an earlier pass.
pub fn own_command<'c, 'a>(container: &'c Container<'a>) -> &'c [Text<'a>] {
    match &container.command[..] {
        [program, verb, rest @ ..] if *program == REAPER && *verb == "await" => {
            rest.iter().position(|word| *word == "--").map_or(&[][..], |end| &rest[end + 1..])
        }
        command => command,
    }
}

/// Gives containers that an earlier pass wrapped their own command back.
pub(super) fn undo(pod: &Pod<'_>) -> Vec<Wrap> {
    let wrapped = pod.spec.containers.iter().enumerate().filter(|(_, c)| is_wrapped(c));
    wrapped
        .map(|(index, container)| Wrap {
            index,
            container: str::to_owned(&container.name),
            command: own_command(container).iter().map(|word| str::to_owned(word)).collect(),
            mounts: Vec::new(),
            startup_probe: None,
        })
        .collect()
}

/// Whether every main could be wrapped.
///
/// # Errors
/// The first main that cannot, and why.
pub(super) fn all_mains(pod: &Pod<'_>, survey: &Survey<'_>) -> Result<(), String> {
    each_main(pod, survey, true)?;
    match deliver::conflict(pod, &survey.mains) {
        Some(conflict) => Err(conflict),
        None => Ok(()),
    }
}

/// Whether every main comes to an end that is Curfew's to wait for; with `commands`, one that is written out.
///
/// # Errors
/// The first main that does not, and why.
pub(super) fn each_main(pod: &Pod<'_>, survey: &Survey<'_>, commands: bool) -> Result<(), String> {
    if survey.mains.is_empty() {
        return Err("no container in the pod is a main".to_owned());
    }
    for (_, main) in &survey.mains {
        let (name, command) = (&main.name, own_command(main));
        if commands && command.is_empty() {
            return Err(format!(
                "container {name} has no command, and its image's is unknown here; write it out"
            ));
        }
        if let Some(wrapper) =
            survey.catalogue.wrappers.iter().find(|wrapper| wrapper.wraps(command, &main.args))
        {
            return Err(format!("container {name} already runs under {}; {}", wrapper.name, wrapper.mend));
        }
        if ExitCodes::finishing(pod.restart_policy(), main).is_empty() {
            return Err(format!("container {name} restarts whatever its exit code, so it is never done"));
        }
    }
    Ok(())
}

/// What it takes that every sidecar can be told to end.
///
/// # Errors
/// The first that cannot, why, and the mend.
pub(super) fn openers(case: Case<'_>) -> Result<Vec<EnvEdit>, String> {
    let mut env = Vec::new();
    for Found { container, row, endpoints, .. } in case.survey.classic() {
        if endpoints.shutdown.is_none() {
            let mend = row.shutdown.as_ref().and_then(|shutdown| shutdown.mend.as_deref());
            let mend = mend.map(|mend| format!(": {mend}")).unwrap_or_default();
            return Err(format!("sidecar {} ({}) has no shutdown endpoint{mend}", container.name, row.name));
        }
    }
    for found in case.survey.classic() {
        env.extend(prepare::env(case.own(), found)?);
    }
    Ok(env)
}

/// Everything `await` changes.
///
/// # Errors
/// Why it does not apply.
pub(super) fn edits(case: Case<'_>) -> Result<Edits, String> {
    let Case { pod, survey, context, .. } = case;
    all_mains(pod, survey)?;
    let mut edits = Edits { env: openers(case)?, ..Edits::default() };
    edits.reaper = reaper::net(case).ok().flatten();
    // Nobody has to be last where nobody is quit, nor to tell whom where nobody else would.
    let quits = survey.classic().next().is_some();
    let shared = quits && (survey.mains.len() > 1 || edits.reaper.is_some());
    let purpose = if quits { Purpose::Quit { shared } } else { Purpose::Wait };
    edits.wraps = survey.mains.iter().map(|main| of(case, main, purpose)).collect();
    edits.install = Some(deliver::install(pod, &survey.mains, shared, context.settings));
    Ok(edits)
}

/// Has those mains wait for the sidecars they can wait for, which are then ended by somebody else.
pub(super) fn add_waits(case: Case<'_>, edits: &mut Edits) {
    let Case { pod, survey, context, .. } = case;
    let waits = |main: &(usize, &Container<'_>)| {
        !own_command(main.1).is_empty() && ready(survey, main).next().is_some()
    };
    let mains: Vec<_> = survey.mains.iter().copied().filter(waits).collect();
    if mains.is_empty() || deliver::conflict(pod, &mains).is_some() {
        return;
    }
    edits.wraps = mains.iter().map(|main| of(case, main, Purpose::Wait)).collect();
    edits.install = Some(deliver::install(pod, &mains, false, context.settings));
}

/// What a command is wrapped for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Purpose {
    /// To wait for sidecars.
    Wait,
    /// To quit them, too; the last wrapper does, where the pod has a place to tell who that is.
    Quit { shared: bool },
}

fn of(case: Case<'_>, placed: &(usize, &Container<'_>), purpose: Purpose) -> Wrap {
    let (index, main) = placed;
    let mut command = vec![REAPER.to_owned(), "await".to_owned()];
    command.extend(flags(case, placed, purpose));
    command.push("--".to_owned());
    command.extend(own_command(main).iter().map(|word| str::to_owned(word)));
    let wait = case.wishes.ready_timeout.as_std();
    Wrap {
        index: *index,
        container: str::to_owned(&main.name),
        command,
        mounts: deliver::mounts(purpose == Purpose::Quit { shared: true }),
        startup_probe: if is_wrapped(main) { None } else { probe::edit(main, wait) },
    }
}

/// What says that the sidecars are ready which a main has to wait for.
fn ready<'s>(survey: &'s Survey<'_>, (index, _): &(usize, &Container<'_>)) -> impl Iterator<Item = &'s str> {
    let end = hooked(survey, *index).map_or(usize::MAX, |(hooked, _)| *hooked);
    let classic = survey.classic().filter(move |found| found.index < end);
    classic.chain(survey.ungated()).filter_map(|found| found.endpoints.ready.as_deref())
}

/// The first main from this place in `containers` on with a `postStart` hook: what is behind it the kubelet starts when the
/// hook is done, which may wait for the command of any that is there by then.
fn hooked<'s, 'a>(survey: &'s Survey<'a>, from: usize) -> Option<&'s (usize, &'a Container<'a>)> {
    survey.mains.iter().find(|(index, main)| *index >= from && hooks::has_post_start(main))
}

/// One sentence on what is done.
pub(super) fn reason(survey: &Survey<'_>) -> String {
    let names = |sidecars: &mut dyn Iterator<Item = &Found<'_>>| {
        let names: Vec<_> = sidecars.map(|found| &*found.container.name).collect();
        names.join(", ")
    };
    match &*names(&mut survey.classic()) {
        "" => {
            format!("the command waits for {}, which nothing else makes it do", names(&mut survey.native()))
        }
        names if survey.mains.iter().all(|main| ready(survey, main).next().is_none()) => {
            format!("the command quits {names} when it is done")
        }
        names => format!("the command waits for its sidecars and quits {names} when it is done"),
    }
}

/// Wishes that are not granted.
pub(super) fn warnings(survey: &Survey<'_>, wishes: &Wishes<'_>) -> Vec<String> {
    let refused = must_wait(survey) && wishes.on_ready_timeout == OnTimeout::Run;
    let workload = survey.workload_name();
    refused
        .then(|| {
            format!(
                "{}: `run` does not hold for {workload}, it must wait; fail holds",
                super::ON_READY_TIMEOUT
            )
        })
        .into_iter()
        .collect()
}

/// Sidecars that wrapped mains do not wait for, as their own hooks hold them back.
pub(super) fn notes_on_hooks(survey: &Survey<'_>, edits: &Edits) -> Vec<String> {
    let wrapped = survey.mains.iter().filter(|(index, _)| edits.wraps_main(*index));
    let note = |(index, main): &(usize, &Container<'_>)| {
        let (end, Container { name: hooked, .. }) = hooked(survey, *index)?;
        let behind = survey.classic().filter(|found| found.index > *end && found.endpoints.ready.is_some());
        let names: Vec<_> = behind.map(|found| &*found.container.name).collect();
        let (main, names) = (&main.name, names.join(", "));
        (!names.is_empty()).then(|| {
            format!(
                "{main} does not wait for {names}, which the kubelet starts only when the postStart hook of {hooked} is \
                 done; put {names} before {hooked} in `containers`, or leave the hook out"
            )
        })
    };
    wrapped.filter_map(note).collect()
}

/// What the strategy cannot mend: init containers that a CNI plugin's redirection leaves without a network, as their
/// proxy starts after them.
pub(super) fn notes(pod: &Pod<'_>, survey: &Survey<'_>) -> Option<String> {
    let inits = &pod.spec.init_containers;
    let proxy = survey.classic().find(|found| {
        let validators = found.row.native.iter().flat_map(|native| &native.validators);
        validators.into_iter().any(|name| inits.iter().any(|container| container.name == *name))
    })?;
    let of_meshes: Vec<_> = survey.classic().filter_map(|found| found.row.native.as_ref()).collect();
    let is_of_a_mesh = |name: &str| {
        of_meshes.iter().any(|row| row.validators.iter().chain(&row.behind).any(|known| known == name))
    };
    let is_users = |container: &&Container<'_>| {
        !container.is_native_sidecar()
            && !is_of_a_mesh(&container.name)
            && !deliver::is_installer(container)
            && !gate::is_gate(container)
    };
    let names: Vec<_> = inits.iter().filter(is_users).map(|container| &*container.name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "init containers ({}) run before {}, to which a CNI plugin sends their traffic: they have no network; \
             a native proxy would start before them",
            names.join(", "),
            proxy.container.name
        )
    })
}

/// What happens when a sidecar is not ready in time, as the wrapper's flag has it; none where it is the default.
pub(super) fn on_timeout(survey: &Survey<'_>, wishes: &Wishes<'_>) -> Option<&'static str> {
    let run = wishes.on_ready_timeout == OnTimeout::Run && !must_wait(survey);
    run.then(|| OnTimeout::Run.name())
}

fn must_wait(survey: &Survey<'_>) -> bool {
    survey.workload.is_some_and(|row| row.must_wait)
}

fn is_wrapped(container: &Container<'_>) -> bool {
    own_command(container).len() != container.command.len()
}

fn flags(case: Case<'_>, placed: &(usize, &Container<'_>), purpose: Purpose) -> Vec<String> {
    let (_, main) = placed;
    let Case { pod, survey, wishes, .. } = case;
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: &str| flags.extend([name.to_owned(), value.to_owned()]);
    for url in ready(survey, placed) {
        flag("--ready", url);
    }
    let quits = purpose != Purpose::Wait;
    for found in survey.classic().filter(|_| quits) {
        if let Some(url) = &found.endpoints.shutdown {
            flag(found.row.shutdown_flag(), url);
        }
    }
    flag("--timeout", &wishes.ready_timeout.to_string());
    if let Some(then) = on_timeout(survey, wishes) {
        flag("--on-timeout", then);
    }
    let codes = ExitCodes::finishing(pod.restart_policy(), main).to_string();
    if codes != "always" && quits {
        flag("--quit-on", &codes);
    }
    if purpose == (Purpose::Quit { shared: true }) {
        flag("--tombstones", RUN_DIR);
        flag("--mains", &survey.mains.len().to_string());
        flag("--name", &main.name);
    }
    flag("--message", main.termination_message_path());
    flags
}
