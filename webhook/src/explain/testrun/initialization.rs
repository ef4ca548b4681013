//! The initializer: the operator waits until its pod has Succeeded, for ever.

use super::{About, Explanation, K6, Surroundings, TestRun, container, held, pod, unmade};
use crate::explain::containers::{name, phase};

pub(super) fn explain(run: &TestRun, around: &Surroundings, told: &mut Explanation) {
    const STAGE: &str = "initialization";
    let Some(initializer) = run.pod("initializer") else {
        told.hangs(
            format!("{STAGE}: no initializer"),
            unmade(run),
            "see `curfew check` if this is about a webhook",
        );
        return;
    };
    let who = name(initializer);
    match phase(initializer) {
        "Running" => match held(initializer, around) {
            Some((proxy, mend)) => {
                let why = format!(
                    "{proxy} of {who} runs on although k6 has ended, and the operator waits until the pod has Succeeded"
                );
                told.hangs(
                    format!("{STAGE}: hangs"),
                    why,
                    format!("{}; this run goes on with: {mend}", run.again(around)),
                );
            }
            None => {
                told.say(About::State, format!("{STAGE}: {who} is at work"));
            }
        },
        "Succeeded" => {
            let ended = container(initializer, K6).and_then(|k6| k6.since(around.now));
            told.say(
                About::State,
                format!("{STAGE}: {who} has Succeeded, and the operator reads its log next"),
            );
            if ended.is_some_and(|ago| ago > 60) {
                told.hangs = true;
                told.say(About::Why, "it has not for more than a minute: it is down, or waits for another TestRun's runner that never answers (up to 1.6 it asks one after another, without a limit)")
                    .say(About::Mend, "look at k6-operator's log; a restart has it look again");
            }
        }
        "Failed" => {
            told.say(
                About::State,
                format!("{STAGE}: {who} has Failed, which the operator will call an error"),
            );
            told.say(About::Why, pod::waits(initializer).unwrap_or_default());
        }
        _ => {
            told.say(About::State, format!("{STAGE}: {who} does not run yet"));
            if let Some(why) = pod::waits(initializer) {
                told.hangs = true;
                told.say(About::Why, why);
            }
        }
    }
}
