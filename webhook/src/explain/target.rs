//! What is asked about, as kubectl writes it: `kind/name`.

use std::str::FromStr;

/// One object to explain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Of which kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// A kind that can be explained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A pod.
    Pod,
    /// A Job.
    Job,
    /// k6-operator's TestRun, or K6, its older name.
    TestRun,
}

/// A text that names no object that can be explained.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is nothing to explain: write pod/NAME, job/NAME or testrun/NAME")]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let wrong = || NoTarget(text.to_owned());
        let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
        let kind = match kind.to_lowercase().as_str() {
            "pod" | "pods" | "po" => Kind::Pod,
            "job" | "jobs" | "job.batch" | "jobs.batch" => Kind::Job,
            "testrun" | "testruns" | "testrun.k6.io" | "testruns.k6.io" | "k6" | "k6s" | "k6.k6.io" => {
                Kind::TestRun
            }
            _ => return Err(wrong()),
        };
        // It becomes a part of a path.
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let fits = !name.is_empty() && name.chars().all(is_name) && !name.starts_with('.');
        if fits { Ok(Self { kind, name: name.to_owned() }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_kubectl_takes_and_prints_them() {
        for (text, kind) in [
            ("pod/a", Kind::Pod),
            ("jobs.batch/a-1", Kind::Job),
            ("testrun.k6.io/a.b", Kind::TestRun),
            ("TestRun/a", Kind::TestRun),
        ] {
            assert_eq!(text.parse::<Target>().expect(text).kind, kind);
        }
        for text in ["a", "deploy/a", "pod/", "pod/a/b", "pod/..", "pod/A", "pod/a?b"] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
