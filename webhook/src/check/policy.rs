//! The policy that keeps the watch's right on pods to one annotation.

use super::{Facts, Finding};
use crate::plan::Version;

const SUBJECT: &str = "policy";
/// `ValidatingAdmissionPolicy` is served since.
const SINCE: Version = Version::new(1, 30, 0);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if facts.server.is_some_and(|server| server < SINCE) {
        let text = "Kubernetes before 1.30 has no ValidatingAdmissionPolicy: Curfew alone sees to it that it sets no more than curfew.dev/done";
        return vec![Finding::note(SUBJECT, text)];
    }
    vec![match &facts.policy {
        Ok(true) => Finding::ok(
            SUBJECT,
            "a ValidatingAdmissionPolicy keeps Curfew's right on pods to the annotation curfew.dev/done",
        ),
        Ok(false) => {
            let text = "no ValidatingAdmissionPolicy is bound that keeps Curfew's right on pods/status to curfew.dev/done";
            Finding::warn(SUBJECT, text)
                .mend("install it: Curfew works without, but its account may write any pod's status")
        }
        Err(why) => Finding::unseen(SUBJECT, "ValidatingAdmissionPolicies", why),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Unseen, tests::facts};

    #[test]
    fn it_is_there_or_missed_or_too_much_to_ask() {
        let mut facts = facts();
        assert_eq!(check(&facts)[0].severity, Severity::Ok);
        facts.policy = Ok(false);
        assert_eq!(check(&facts)[0].severity, Severity::Warn);
        facts.policy = Err(Unseen("x".to_owned()));
        assert!(!check(&facts)[0].seen);
        facts.server = Some(Version::new(1, 29, 0));
        assert!(check(&facts)[0].severity == Severity::Note && check(&facts)[0].seen);
    }
}
