//! The kill rule: after which exit codes a container is finished, and so no longer needs its proxy.

use std::fmt;

use crate::pod::{Container, RestartRule};

/// The exit codes (0–255) after which a container does not run again.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ExitCodes([bool; 256]);

impl ExitCodes {
    /// Under a pod's restart policy, which a container's own replaces, and its rules (Kubernetes ≥ 1.35).
    pub fn finishing(pod_policy: &str, container: &Container<'_>) -> Self {
        let mut codes = match container.restart_policy.as_deref().unwrap_or(pod_policy) {
            "Never" => [true; 256],
            "OnFailure" => {
                let mut codes = [false; 256];
                codes[0] = true;
                codes
            }
            _ => [false; 256],
        };
        // Whatever a rule's action is, the ones that exist restart the container.
        for (code, finishes) in (0..).zip(&mut codes) {
            *finishes &= !container.restart_policy_rules.iter().any(|rule| covers(rule, code));
        }
        Self(codes)
    }

    /// No exit code finishes it: it never ends.
    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    fn ranges(&self) -> Vec<(usize, usize)> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for code in (0..self.0.len()).filter(|code| self.0[*code]) {
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
