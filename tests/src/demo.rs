//! The demo: pods as k6-operator and a mesh make them, patched by the real webhook, run as local processes.
//!
//! Nothing here needs a cluster, root or a network. What stands in for what is in [`node`] and [`place`].

mod diff;
pub mod fake;
mod fixtures;
mod http;
mod kubelet;
mod mesh;
mod node;
mod operator;
mod outcome;
mod place;
mod play;
mod pod;
mod process;
mod review;
mod story;
mod webhook;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use anyhow::{Context, anyhow};

use crate::report::Table;
use diff::Line;
use fixtures::Cast;
use mesh::Mesh;
use node::Node;
use outcome::Outcome;
use story::{Look, Story};
use webhook::Webhook;

pub use node::Real;
pub use process::kill_everything;

/// What is not as in a cluster, in one line; the rest is in [`node`] and [`place`].
const NOTE: &str =
    "Containers are processes here; each pod has a loopback address instead of a network namespace.";

/// What the demo needs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `curfew`.
    pub curfew: PathBuf,
    /// `curfew-reaper`.
    pub reaper: PathBuf,
    /// `standin-proxy`.
    pub standin: PathBuf,
    /// Real k6 and Envoy instead of stand-ins.
    pub real: Option<Real>,
}

/// Plays the demo below `folder`; what was not so, which should be nothing.
///
/// # Errors
/// When something it needs does not work.
pub fn run(programs: Programs, folder: &Path) -> anyhow::Result<Vec<String>> {
    let story = Story::new();
    let meshes: &[Mesh] =
        if programs.real.is_some() { &[Mesh::Envoy] } else { &[Mesh::Linkerd, Mesh::Istio] };

    story.chapter("1. The pods are posted to the webhook, as an API server would");
    let webhook = Webhook::start(&programs.curfew, &folder.join("webhook"))?;
    let mut casts = Vec::new();
    for &mesh in meshes {
        let before = fixtures::cast(mesh)?;
        let after = patch_all(&story, &webhook, mesh, &before)?;
        casts.push((mesh, before, after));
    }
    drop(webhook);

    let Programs { reaper, standin, real, .. } = programs;
    let proxies = if real.is_some() { "real Envoys" } else { "stand-ins" };
    let node = Arc::new(Node::new(reaper, standin, real, folder.join("node"))?);
    story.chapter("2. Without Curfew");
    story.say(story.paint(Look::Dim, format_args!("  {NOTE} The proxies are {proxies}, ready late.")));
    let before = act(&casts, |mesh, cast, _| play::unpatched(&node, &story, mesh, cast))?;
    story.chapter("3. With Curfew");
    let after = act(&casts, |mesh, _, cast| play::patched(&node, &story, mesh, cast))?;

    story.chapter("What became of them");
    story.say(table(&before, &after));
    let wrong = story.wrong();
    let verdict = match wrong.len() {
        0 => story.paint(
            Look::Good,
            "Every pod hung without Curfew; every pod ended with it, with the exit code of its work.",
        ),
        n => story.paint(Look::Bad, format_args!("{n} things were not as they should be:")),
    };
    story.say(verdict);
    wrong.iter().for_each(|claim| story.say(format_args!("  * {claim}")));
    Ok(wrong)
}

/// Posts each pod, twice: the second time nothing may be left to do.
fn patch_all(story: &Story, webhook: &Webhook, mesh: Mesh, cast: &[Cast]) -> anyhow::Result<Vec<Cast>> {
    let mut patched = Vec::new();
    let mut shown: Vec<(String, Vec<Line>)> = Vec::new();
    for (index, one) in cast.iter().enumerate() {
        let job = pod::Pod::from_json(&one.json)?.job_name().to_owned();
        let title = format!("{mesh}: {job}");
        let answer = webhook.review(&one.json, &format!("{mesh}-{index}-first")).context(title.clone())?;
        let mut json = one.json.clone();
        if let Some(patch) = &answer.patch {
            json_patch::patch(&mut json, patch)
                .with_context(|| format!("{title}: the patch does not apply"))?;
        }
        let lines = diff::diff(&one.json, &json)?;
        story.check(lines.iter().any(|line| line.sign == '+'), format_args!("{title} is patched"));
        let again = webhook.review(&json, &format!("{mesh}-{index}-second")).context(title.clone())?;
        let nothing = again.patch.as_ref().is_none_or(|patch| patch.is_empty());
        story.check(nothing, format_args!("{title}: a second review yields no operation"));

        let operations = answer.patch.as_ref().map_or(0, |patch| patch.len());
        story.say(format_args!("\n  {} ({operations} operations)", story.paint(Look::Bold, &title)));
        answer.warnings.iter().for_each(|warning| story.say(format_args!("    warning: {warning}")));
        match shown.iter().find(|(_, other)| same_edits(other, &lines)) {
            Some((other, _)) => story.say(format_args!("    the same edits as {other}")),
            None => story.diff(&lines),
        }
        shown.push((job, lines));
        patched.push(Cast { json, ..one.clone() });
    }
    Ok(patched)
}

fn same_edits(one: &[Line], other: &[Line]) -> bool {
    let edits = |lines: &[Line]| {
        lines.iter().filter(|line| matches!(line.sign, '+' | '-')).cloned().collect::<Vec<_>>()
    };
    edits(one) == edits(other)
}

/// Plays one act in all meshes at once.
fn act(
    casts: &[(Mesh, Vec<Cast>, Vec<Cast>)],
    play: impl Fn(Mesh, &[Cast], &[Cast]) -> anyhow::Result<Vec<Outcome>> + Sync,
) -> anyhow::Result<Vec<Outcome>> {
    let play = &play;
    thread::scope(|scope| {
        let acts: Vec<_> = casts
            .iter()
            .map(|(mesh, before, after)| scope.spawn(move || play(*mesh, before, after)))
            .collect();
        let results =
            acts.into_iter().map(|act| act.join().unwrap_or_else(|_| Err(anyhow!("an act panicked"))));
        Ok(results.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

fn table(before: &[Outcome], after: &[Outcome]) -> String {
    let mut table =
        Table::new(&["pod", "main, without", "pod, without", "main, with Curfew", "pod, with Curfew"]);
    let mut rows: Vec<&Outcome> = after.iter().collect();
    rows.sort_by_key(|outcome| (outcome.mesh, outcome.role));
    for with in rows {
        let same = |one: &&Outcome| (one.mesh, one.role) == (with.mesh, with.role);
        let without = before.iter().find(same);
        table.row([
            format!("{} {}", with.mesh, with.job),
            without.map_or_else(String::new, Outcome::main),
            without.map_or_else(String::new, Outcome::pod),
            with.main(),
            with.pod(),
        ]);
    }
    table.markdown()
}

/// Removes the folder of a demo that went well; one that did not keeps it for a look.
///
/// # Errors
/// When it cannot be removed.
pub fn clean_up(folder: &Path) -> std::io::Result<()> {
    fs::remove_dir_all(folder)
}
