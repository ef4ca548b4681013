//! What is told of the findings.

use serde_json::{Value, json};

use super::{Finding, Severity};

/// A line each: how bad, about what, what was found and what mends it; then how many of each.
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { severity, subject, finding, mend, .. } in findings {
        let mend = mend.as_ref().map(|mend| format!("; {mend}")).unwrap_or_default();
        text.push_str(&format!(
            "{:<4}  {subject:<width$}  {}\n",
            severity.name(),
            plain(&(finding.clone() + &mend))
        ));
    }
    let many = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let unseen = findings.iter().filter(|finding| !finding.seen).count();
    let counts = [Severity::Fail, Severity::Warn, Severity::Note, Severity::Ok]
        .map(|severity| format!("{} {}", many(severity), severity.name()));
    let unseen = if unseen > 0 { format!("; {unseen} not looked at") } else { String::new() };
    text + &format!("\n{}{unseen}\n", counts.join(", "))
}

/// The same for scripts.
pub fn as_json(findings: &[Finding]) -> Value {
    json!({"failed": failed(findings), "findings": findings})
}

/// Something does not work.
pub(super) fn failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Fail)
}

/// What others wrote goes to a terminal: one line, without what terminals obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Unseen;

    #[test]
    fn each_finding_is_one_line_with_its_mend_and_the_last_line_counts_them() {
        let findings = [
            Finding::fail("webhook", "no answer:\n\u{1b}[31mrefused").mend("see its log"),
            Finding::ok("certificate", "lives for 300 days"),
            Finding::unseen("nodes", "kubelets", &Unseen("you need the right to list nodes".to_owned())),
        ];
        let expected = "\
fail  webhook      no answer:  [31mrefused; see its log
ok    certificate  lives for 300 days
note  nodes        kubelets: not looked at, you need the right to list nodes

1 fail, 0 warn, 1 note, 1 ok; 1 not looked at
";
        assert_eq!(text(&findings), expected);
    }

    #[test]
    fn scripts_get_what_people_get() {
        let findings = [Finding::fail("order", "x").mend("y"), Finding::ok("order", "z")];
        let expected = json!({"failed": true, "findings": [
            {"severity": "fail", "subject": "order", "finding": "x", "mend": "y", "seen": true},
            {"severity": "ok", "subject": "order", "finding": "z", "seen": true},
        ]});
        assert_eq!(as_json(&findings), expected);
        assert_eq!(as_json(&findings[1..])["failed"], false);
    }
}
