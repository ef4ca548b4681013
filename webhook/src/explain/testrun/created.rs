//! The runners: the operator waits until all are Running at one instant, and then asks each in plain HTTP.

use super::{About, Answer, Explanation, K6, Surroundings, TestRun, container, held, pod, unmade};
use crate::explain::containers::{name, phase};

const STAGE: &str = "created";

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
    let refused = run.services.iter().find_map(|(service, answer)| match answer {
        Ok(Answer::Refused(why)) => Some((service, why)),
        _ => None,
    });
    if let Some((service, why)) = refused {
        let meaning = if why.contains("403") || why.contains("Forbidden") {
            "a policy of the mesh does not let it in"
        } else if why.contains("no endpoints") {
            "its runner is not Ready, so the Service leads nowhere"
        } else {
            "the mesh demands certificates (STRICT), which an operator outside of it does not have"
        };
        let why = format!(
            "the operator's GET of {service}:6565/v1/status is refused, as one in plain HTTP from outside of the mesh is: {why}: {meaning}"
        );
        told.hangs(format!("{STAGE}: hangs"), why, run.again_in_the_open(around));
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

/// What an exit code of a runner means that its own script does not.
fn meaning(exit: i64) -> &'static str {
    match exit {
        69 => " (its proxy was not ready in time)",
        105 | 137 | 143 => " (it was ended: by its liveness probe, or for its memory)",
        _ => "",
    }
}
