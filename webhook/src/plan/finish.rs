//! The kill rule: after which exit codes a container is finished, and so no longer needs its proxy.

use std::fmt;

use crate::pod::{Container, RestartRule};

/// Codes a process can end with.
const CODES: usize = 256;
/// How many of them a word holds.
const BITS: usize = u64::BITS as usize;
/// What stands for a code beyond them: a runtime may tell of others (Windows has 32 bits), none of which is a success.
const BEYOND: usize = CODES - 1;

/// The exit codes (0–255) after which a container does not run again, a bit each: the watch holds one set for every
/// main it follows.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ExitCodes([u64; CODES / BITS]);

impl ExitCodes {
    /// Under a pod's restart policy, which a container's own replaces, and its rules (Kubernetes ≥ 1.35).
    pub fn finishing(pod_policy: &str, container: &Container<'_>) -> Self {
        let mut codes = match container.restart_policy.as_deref().unwrap_or(pod_policy) {
            "Never" => [u64::MAX; CODES / BITS],
            "OnFailure" => [1, 0, 0, 0],
            _ => [0; CODES / BITS],
        };
        // Whatever a rule's action is, the ones that exist restart the container.
        for rule in &container.restart_policy_rules {
            for code in (0..CODES).filter(|code| covers(rule, *code as i64)) {
                codes[code / BITS] &= !(1 << (code % BITS));
            }
        }
        Self(codes)
    }

    /// Whether the container is finished with this exit code, as `state.terminated.exitCode` tells it.
    pub fn contains(&self, code: i32) -> bool {
        let code = usize::try_from(code).unwrap_or(BEYOND).min(BEYOND);
        self.0[code / BITS] & (1 << (code % BITS)) != 0
    }

    /// No exit code finishes it: it never ends.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; CODES / BITS]
    }

    fn ranges(&self) -> Vec<(i32, i32)> {
        let mut ranges: Vec<(i32, i32)> = Vec::new();
        for code in (0..CODES as i32).filter(|code| self.contains(*code)) {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == code => *end = code,
                _ => ranges.push((code, code)),
            }
        }
        ranges
    }
}

/// As the wrapper's `--quit-on` takes them.
impl fmt::Display for ExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ranges()[..] {
            [(0, 255)] => f.write_str("always"),
            [(0, 0)] => f.write_str("success"),
            ref ranges => {
                let text: Vec<_> = ranges
                    .iter()
                    .map(
                        |(start, end)| {
                            if start == end { start.to_string() } else { format!("{start}-{end}") }
                        },
                    )
                    .collect();
                f.write_str(&text.join(","))
            }
        }
    }
}

impl fmt::Debug for ExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn covers(rule: &RestartRule<'_>, code: i64) -> bool {
    rule.exit_codes.as_ref().is_some_and(|codes| match &*codes.operator {
        "In" => codes.values.contains(&code),
        "NotIn" => !codes.values.contains(&code),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::pod::Pod;

    fn codes(pod_policy: &str, container: Value) -> String {
        let raw = json!({"spec": {"containers": [container]}}).to_string();
        let pod = Pod::read(&raw).expect("a pod");
        ExitCodes::finishing(pod_policy, &pod.spec.containers[0]).to_string()
    }

    #[test]
    fn never_finishes_on_any_code_and_on_failure_on_zero() {
        assert_eq!(codes("Never", json!({"name": "main"})), "always");
        assert_eq!(codes("OnFailure", json!({"name": "main"})), "success");
        assert_eq!(codes("Always", json!({"name": "main"})), "");
    }

    #[test]
    fn codes_beyond_a_byte_are_failures() {
        let finishing = |policy| ExitCodes::finishing(policy, &Container::default());
        let (never, on_failure) = (finishing("Never"), finishing("OnFailure"));
        for code in [i32::MIN, -1, 256, 0xC000_0005_u32 as i32, i32::MAX] {
            assert!(never.contains(code) && !on_failure.contains(code), "{code}");
        }
        assert!(on_failure.contains(0) && !on_failure.contains(1));
    }

    #[test]
    fn the_containers_own_policy_replaces_the_pods() {
        assert_eq!(codes("Never", json!({"name": "main", "restartPolicy": "OnFailure"})), "success");
        assert_eq!(codes("OnFailure", json!({"name": "main", "restartPolicy": "Never"})), "always");
        assert_eq!(codes("Never", json!({"name": "main", "restartPolicy": "Always"})), "");
    }

    #[test]
    fn codes_a_rule_restarts_do_not_finish() {
        let rules = |operator, values: &[u8]| {
            json!({"name": "main", "restartPolicy": "Never", "restartPolicyRules": [
                {"action": "Restart", "exitCodes": {"operator": operator, "values": values}}]})
        };
        assert_eq!(codes("Never", rules("In", &[3, 42])), "0-2,4-41,43-255");
        assert_eq!(codes("Never", rules("NotIn", &[0, 9])), "0,9");
        assert_eq!(codes("Never", rules("Beyond", &[3])), "always");
    }
}
