//! The stage nothing leads out of: the operator says no more than that.

use serde_json::Value;

use super::{About, Explanation, K6, TestRun, container, pod};
use crate::explain::containers::{name, phase};

/// As much of a log as is worth showing.
const SHOWN: usize = 160;

pub(super) fn explain(run: &TestRun, told: &mut Explanation) {
    told.hangs = true;
    told.say(About::State, "error: nothing leads out of it; delete the TestRun and apply it again");
    let Some(initializer) = run.pod("initializer") else {
        told.say(About::Why, "its initializer is gone; k6-operator's log says what it saw").say(
            About::Note,
            "a TestRun that the operator cannot make sense of ends here before it has an initializer",
        );
        return;
    };
    let who = name(initializer);
    let log = match &run.initializer {
        Some(Ok(log)) => Some(log.as_str()),
        Some(Err(why)) => {
            told.say(About::Unseen, format!("the log of {who}: {why}"));
            None
        }
        None => None,
    };
    if phase(initializer) == "Failed" {
        let failed = pod::waits(initializer).unwrap_or_default();
        match container(initializer, K6).and_then(|k6| k6.exit()) {
            Some(0) => {
                told.say(
                    About::Why,
                    format!(
                        "k6 ended well in {who}, but {failed}: one container that fails makes the pod Failed"
                    ),
                )
                .say(About::Mend, "have Curfew end that sidecar: it then exits with 0");
            }
            _ => {
                told.say(About::Why, format!("{who} has Failed: {failed}"));
                if let Some(last) = log.and_then(last_line) {
                    told.say(About::Note, format!("the last it said: {last}"));
                }
                told.say(
                    About::Mend,
                    "mend the script or its arguments; 69 is Curfew's: the proxy was not ready in time",
                );
            }
        }
        return;
    }
    let Some(log) = log else { return };
    match judge(log, run.parallelism()) {
        Err(why) => {
            told.say(About::Why, format!("{who} has Succeeded, but {why}")).say(
                About::Mend,
                "correct that in the script or in spec.initializer, before it is applied again",
            );
        }
        Ok(()) => {
            told.say(
                About::Why,
                format!(
                    "{who} has Succeeded and its log is what the operator takes: its own log says what failed"
                ),
            );
        }
    }
}

/// Whether the operator takes this log of an initializer: all of it is JSON, and k6 says enough in it.
///
/// # Errors
/// Why it does not.
pub(super) fn judge(log: &str, parallelism: usize) -> Result<(), String> {
    let told: Value = match serde_json::from_str(log) {
        Ok(told) => told,
        Err(_) => {
            let odd = log.lines().map(str::trim).find(|line| is_no_part_of_json(line));
            let odd = odd.map(|line| format!(": `{}`", line.chars().take(SHOWN).collect::<String>()));
            return Err(format!(
                "its log is not JSON alone, which the operator takes it for{}; something writes to the log of container {K6}",
                odd.unwrap_or_default()
            ));
        }
    };
    match told["maxVUs"].as_u64() {
        None => Err("its log lacks maxVUs, so it is no answer of `k6 inspect`".to_owned()),
        Some(most) if most < parallelism as u64 => {
            Err(format!("its script has {most} virtual users at most, fewer than parallelism {parallelism}"))
        }
        Some(_) => Ok(()),
    }
}

/// A line of k6's pretty JSON begins with a brace, a bracket or a quote.
fn is_no_part_of_json(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['{', '}', '[', ']', '"'])
}

fn last_line(log: &str) -> Option<String> {
    let last = log.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(last.trim().chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_taken_as_the_operator_takes_it() {
        assert_eq!(judge(" {\"maxVUs\": 2,\n \"totalDuration\": \"1s\"}\n", 2), Ok(()));
        let noise =
            judge("{\n  \"maxVUs\": 2\n}\ntime=\"…\" level=warning msg=\"no ipv6\"\n", 1).expect_err("noise");
        assert!(noise.contains("`time=") && noise.contains("container k6"), "{noise}");
        assert!(judge("", 1).expect_err("nothing").contains("not JSON"));
        assert!(judge("{}", 1).expect_err("nothing in it").contains("maxVUs"));
        assert!(judge("{\"maxVUs\": 1}", 4).expect_err("too few").contains("fewer than parallelism 4"));
    }
}
