//! The run: the operator waits until no runner's Job has an active pod, and never looks at the starter.

use serde_json::Value;

use super::{About, Answer, CURL, Explanation, K6, Surroundings, TestRun, container, held};
use crate::explain::{containers::name, job::finished};

const STAGE: &str = "started";

pub(super) fn explain(run: &TestRun, around: &Surroundings, told: &mut Explanation) {
    let runners = run.runners();
    let holding: Vec<_> = runners.iter().filter_map(|runner| Some((runner, held(runner, around)?))).collect();
    if let Some((runner, (proxy, mend))) = holding.first() {
        let why = format!(
            "{proxy} of {} runs on although k6 has ended, as in {} of {} runners, and the operator waits until no runner is active",
            name(runner),
            holding.len(),
            runners.len(),
        );
        told.hangs(
            format!("{STAGE}: hangs"),
            why,
            format!("{}; this run ends with: {mend}", run.again(around)),
        );
        return;
    }
    let jobs = run.runner_jobs();
    let active = |job: &&Value| job.pointer("/status/active").and_then(Value::as_u64).unwrap_or_default() > 0;
    if !jobs.is_empty() && !jobs.iter().any(active) {
        told.say(
            About::State,
            format!("{STAGE}: no runner is active any more, which the operator sees within 15 s"),
        );
        return;
    }
    if let Some((why, mend)) = unstarted(run, around, told) {
        told.hangs(
            format!("{STAGE}: hangs: its runners wait to be started, and nobody does it again"),
            why,
            mend,
        );
        return;
    }
    let paused = run.services.iter().filter(|(_, answer)| *answer == Ok(Answer::Up { paused: true })).count();
    let starter = run.job("starter").and_then(finished);
    if paused > 0 && starter.is_some() {
        let why = format!(
            "{paused} runners are paused although the starter has ended: its PATCH did not reach them"
        );
        told.hangs(format!("{STAGE}: hangs"), why, run.again_in_the_open(around));
        return;
    }
    let running =
        runners.iter().filter(|runner| container(runner, K6).is_some_and(|k6| k6.exit().is_none())).count();
    told.say(About::State, format!("{STAGE}: k6 is at work in {running} of {} runners", runners.len()));
}

/// What kept the starter from starting them, and what mends it.
fn unstarted(run: &TestRun, around: &Surroundings, told: &mut Explanation) -> Option<(String, String)> {
    let starter = run.pod("starter");
    let Some(starter) = starter else {
        let refused = super::job::refusal(&run.events)?;
        run.job("starter")?;
        return Some((
            format!("the starter's pod is refused: {refused}"),
            "see `curfew check` if this is about a webhook".to_owned(),
        ));
    };
    let who = name(starter);
    let refusals = match &run.starter {
        Some(Ok(log)) => refusals(log),
        Some(Err(why)) => {
            told.say(About::Unseen, format!("the log of {who}: {why}"));
            Vec::new()
        }
        None => Vec::new(),
    };
    // A curl that has not ended is to be waited for.
    let exit = container(starter, CURL)?.exit()?;
    if let Some((code, url)) = refusals.first() {
        let meaning = match *code {
            0 => "nobody was reached: its own proxy was not ready, or the runner's refused it",
            403 => "a policy of the mesh does not let it in",
            502..=504 => {
                "its proxy speaks mTLS to a port that the runners keep out of the mesh, or found nobody there"
            }
            _ => "the runner, or a proxy before it, said no",
        };
        let told = if *code == 0 { "no answer".to_owned() } else { code.to_string() };
        let although =
            if exit == 0 { ", although its Job is Complete: curl takes any answer for success" } else { "" };
        let why = format!("the PATCH of {who} to {url} was refused with {told}{although}; {meaning}");
        return Some((why, run.again_in_the_open(around)));
    }
    if exit != 0 {
        let meaning = match exit {
            7 => ": the connection was refused, as its proxy was not ready; curl does not try that again",
            28 => ": nobody answered in time",
            69 => ": its proxy was not ready in time",
            _ => "",
        };
        return Some((format!("the starter {who} ended with {exit}{meaning}"), run.again(around)));
    }
    None
}

/// Codes other than those of success in a starter's log, 0 where nobody answered, each with what was asked. The log is
/// what curl was told to write for each request; `000` makes it no JSON.
pub(super) fn refusals(log: &str) -> Vec<(u16, String)> {
    let after =
        |line: &str, key: &str| line.split_once(&format!("\"{key}\":")).map(|(_, rest)| rest.to_owned());
    let number =
        |text: String| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u16>().ok();
    let quoted = |text: String| text.trim_start_matches('"').split('"').next().unwrap_or_default().to_owned();
    log.lines()
        .filter_map(|line| {
            let code = number(after(line, "http_code")?)?;
            let url = after(line, "url").map(quoted).unwrap_or_default();
            (code == 0 || code >= 400).then_some((code, url))
        })
        .collect()
}
