//! The runners: the operator waits until all are Running at one instant, and then asks each in plain HTTP.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{About, Answer, Explanation, K6, Surroundings, TestRun, container, held, pod, unmade};
use crate::explain::containers::{name, phase, text};

const STAGE: &str = "created";
/// Seconds within which k6 listens, and is Ready.
const SOON: i64 = 60;

pub(super) fn explain(run: &TestRun, around: &Surroundings, told: &mut Explanation) {
    let (wanted, runners) = (run.parallelism(), run.runners());
    if runners.len() < wanted {
        let state = format!("{STAGE}: {} of {wanted} runners have a pod", runners.len());
        told.hangs(state, unmade(run), "see `curfew check` if this is about a webhook");
        return;
    }
    let over = runners.iter().find(|runner| ["Succeeded", "Failed"].contains(&phase(runner)));
    let done = over.or_else(|| runners.iter().find(|runner| held(runner, around).is_some()));
    if let Some(runner) = done {
        let exit = container(runner, K6).and_then(|k6| k6.exit());
        let exit = exit.map_or(String::new(), |exit| format!(" with {exit}{}", meaning(exit)));
        let why = format!(
            "k6 in {} ended{exit} before all {wanted} runners were Running at once, so that they never will be",
            name(runner)
        );
        told.hangs(format!("{STAGE}: hangs"), why, run.again(around));
        return;
    }
    let late: Vec<_> = runners.iter().filter(|runner| phase(runner) != "Running").collect();
    if let Some(runner) = late.first() {
        told.say(About::State, format!("{STAGE}: {} of {wanted} runners do not run yet", late.len()));
        if let Some(why) = pod::waits(runner) {
            told.hangs = true;
            told.say(About::Why, format!("{}: {why}", name(runner)));
        }
        return;
    }
    asked(run, around, told);
}

/// All run: what keeps the operator from reaching them.
fn asked(run: &TestRun, around: &Surroundings, told: &mut Explanation) {
    let refused = run.services.iter().filter_map(|(service, answer)| match answer {
        Ok(Answer::Refused(why)) => Some((service, why, Refusal::of(why))),
        _ => None,
    });
    // What time does not mend counts first.
    if let Some((service, why, Refusal { meaning, stays })) =
        refused.min_by_key(|(.., refusal)| !refusal.stays)
    {
        let get = format!("the operator's GET of {service}:6565/v1/status");
        if stays {
            let why = format!(
                "{get} is refused, as one in plain HTTP from outside of the mesh is: {why}: {meaning}"
            );
            told.hangs(format!("{STAGE}: hangs"), why, run.again_in_the_open(around));
            return;
        }
        let why = format!("{get} does not get through: {why}: {meaning}");
        let since = run.runners().into_iter().filter_map(|runner| runs_for(runner, around.now));
        if since.min().is_some_and(|seconds| seconds > SOON) {
            let mend = format!(
                "see why it has not answered for more than a minute: `kubectl -n {} describe pods -l k6_cr={}`; \
                 if the mesh refuses the kubelet's probe, {}",
                run.namespace(),
                run.name(),
                run.again_in_the_open(around)
            );
            told.hangs(format!("{STAGE}: hangs"), why, mend);
        } else {
            told.say(About::State, format!("{STAGE}: all runners run, and not all answer yet"))
                .say(About::Why, why);
        }
        return;
    }
    for (service, answer) in &run.services {
        if let Err(why) = answer {
            told.say(About::Unseen, format!("what {service} answers: {why}"));
        }
    }
    if run.services.iter().all(|(_, answer)| answer.is_ok()) && !run.services.is_empty() {
        told.say(About::State, format!("{STAGE}: all runners run and answer; the operator makes the starter next"))
            .say(About::Note, "after refusals it tries again ever more rarely, at last every 1000 s (17 min); its restart has it look at once");
    } else {
        told.say(
            About::State,
            format!("{STAGE}: all runners run, and the operator waits until each answers its GET"),
        )
        .say(
            About::Note,
            "where that never comes, the mesh refuses plain HTTP from outside: STRICT, or a policy",
        )
        .say(About::Mend, run.again_in_the_open(around));
    }
}

/// Why the operator is refused.
struct Refusal {
    meaning: &'static str,
    /// It is so until somebody mends it.
    stays: bool,
}

impl Refusal {
    /// By the words of a proxy, or of the API server that asked in the operator's place, behind the code: ports and names
    /// among them may have any number in them.
    fn of(why: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
        let (meaning, stays) = if why.starts_with("403") || says(&["Forbidden"]) {
            ("a policy of the mesh does not let it in", true)
        } else if says(&["no endpoints"]) {
            ("its runner is not Ready, so the Service leads nowhere", false)
        } else if says(&["onnection refused"]) {
            ("k6 does not listen yet", false)
        } else if says(&["reset by peer", "EOF", "broken pipe"]) {
            ("the mesh demands certificates (STRICT), which an operator outside of it does not have", true)
        } else {
            ("somebody in between, or k6 itself, does not let it in", false)
        };
        Self { meaning, stays }
    }
}

/// For how many seconds a runner's k6 runs.
fn runs_for(runner: &Value, now: Timestamp) -> Option<i64> {
    let statuses = runner.pointer("/status/containerStatuses")?.as_array()?;
    let k6 = statuses.iter().find(|status| status["name"] == K6)?;
    let since: Timestamp = text(k6, "/state/running/startedAt").parse().ok()?;
    Some(now.as_second() - since.as_second())
}

/// What an exit code of a runner means that its own script does not.
fn meaning(exit: i64) -> &'static str {
    match exit {
        69 => " (its proxy was not ready in time)",
        105 | 137 | 143 => " (it was ended: by its liveness probe, or for its memory)",
        _ => "",
    }
}
