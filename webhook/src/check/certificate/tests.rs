use std::collections::BTreeMap;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::json;

use super::*;
use crate::check::{
    Severity, Unseen,
    tests::{deployment, facts},
};

const NAME: &str = "curfew.curfew.svc";

/// Facts are of the first of January 2026.
fn ca(ends: (i32, u8, u8)) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(ends.0, ends.1, ends.2);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

fn leaf(ca: &CertifiedIssuer<'static, KeyPair>, name: &str, ends: (i32, u8, u8)) -> String {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(ends.0, ends.1, ends.2);
    params.signed_by(&KeyPair::generate().expect("a key"), ca).expect("a certificate").pem()
}

/// What is said where the API server trusts `bundle` and a Secret holds `secret`.
fn said(own: bool, bundle: &str, secret: Seen<Option<String>>) -> Vec<Finding> {
    let mut facts = facts();
    for hook in facts.configurations.iter_mut().flatten().flat_map(|one| one.webhooks.iter_mut().flatten()) {
        hook.client_config.ca_bundle = Some(ByteString(bundle.as_bytes().to_vec()));
    }
    if own {
        let mut made = serde_json::to_value(deployment("curfew", 2)).expect("JSON");
        made["spec"]["template"]["spec"]["containers"][0]["args"] =
            json!(["serve", "--tls-secret=curfew-ca"]);
        facts.deployments = Ok(vec![serde_json::from_value(made).expect("a Deployment")]);
    }
    facts.secrets = BTreeMap::from([("secret".to_owned(), secret)]);
    check(&facts)
}

type Seen<T> = crate::check::Seen<T>;

fn severities(findings: &[Finding]) -> Vec<Severity> {
    findings.iter().map(|finding| finding.severity).collect()
}

#[test]
fn a_certificate_that_the_bundle_signed_and_that_lives_on_is_well() {
    let ca = ca((2030, 1, 1));
    let found = said(false, &ca.pem(), Ok(Some(leaf(&ca, NAME, (2026, 6, 1)))));
    assert_eq!(severities(&found), [Severity::Ok; 3], "{found:?}");
    assert!(found[1].finding.contains("lives for 151 more days"), "{found:?}");
}

#[test]
fn one_of_another_ca_or_another_name_is_refused_by_the_api_server() {
    let (ca, other) = (ca((2030, 1, 1)), self::ca((2030, 1, 1)));
    let found = said(false, &other.pem(), Ok(Some(leaf(&ca, NAME, (2026, 6, 1)))));
    assert!(found[2].severity == Severity::Fail && found[2].finding.contains("signed by no CA"), "{found:?}");
    // While one is rotated both are trusted.
    let both = ca.pem() + &other.pem();
    assert_eq!(said(false, &both, Ok(Some(leaf(&ca, NAME, (2026, 6, 1)))))[2].severity, Severity::Ok);
    let found = said(false, &ca.pem(), Ok(Some(leaf(&ca, "elsewhere.svc", (2026, 6, 1)))));
    assert!(
        found[3].severity == Severity::Fail && found[3].finding.contains("not for curfew.curfew.svc"),
        "{found:?}"
    );
}

#[test]
fn one_about_to_end_is_warned_of_and_one_that_ended_fails() {
    let ca = ca((2030, 1, 1));
    let soon = said(false, &ca.pem(), Ok(Some(leaf(&ca, NAME, (2026, 1, 20)))));
    assert!(soon[1].severity == Severity::Warn && soon[1].mend.is_some(), "{soon:?}");
    let over = said(false, &ca.pem(), Ok(Some(leaf(&ca, NAME, (2025, 12, 20)))));
    assert!(over[1].severity == Severity::Fail && over[1].finding.contains("ended 12 days ago"), "{over:?}");
    let ended = said(false, &self::ca((2025, 12, 1)).pem(), Ok(None));
    assert!(ended[0].severity == Severity::Fail && ended[0].finding.contains("trusts"), "{ended:?}");
}

#[test]
fn a_ca_of_its_own_must_be_in_the_bundle() {
    let (ca, other) = (ca((2030, 1, 1)), self::ca((2030, 1, 1)));
    let found = said(true, &(other.pem() + &ca.pem()), Ok(Some(ca.pem())));
    assert_eq!(severities(&found), [Severity::Ok; 3], "{found:?}");
    let found = said(true, &other.pem(), Ok(Some(ca.pem())));
    assert!(
        found[2].severity == Severity::Fail && found[2].finding.contains("not in the caBundle"),
        "{found:?}"
    );
    // That one before it is trusted helps nobody: it signs nothing any more.
    let found = said(true, &other.pem(), Ok(Some(ca.pem() + &other.pem())));
    assert_eq!(found[2].severity, Severity::Fail, "{found:?}");
    assert_eq!(said(true, &ca.pem(), Ok(None))[1].severity, Severity::Warn);
    assert_eq!(said(true, &ca.pem(), Ok(Some(String::new())))[1].severity, Severity::Fail);
}

#[test]
fn the_life_of_the_ca_that_signs_is_told_whatever_else_is_trusted() {
    let (ca, successor) = (ca((2026, 1, 30)), self::ca((2030, 1, 1)));
    let bundle = ca.pem() + &successor.pem();
    let found = said(true, &bundle, Ok(Some(ca.pem() + &successor.pem())));
    assert_eq!(severities(&found), [Severity::Ok, Severity::Warn, Severity::Ok], "{found:?}");
    assert!(found[0].finding.starts_with("the last of the CAs that the API server trusts"), "{found:?}");
    assert_eq!(found[1].finding, "the CA that signs, in Secret secret, lives for 29 more days");
    assert!(found[1].mend.as_ref().is_some_and(|mend| mend.contains("see their log")), "{found:?}");
    let healthy = said(true, &bundle, Ok(Some(successor.pem() + &ca.pem())));
    assert_eq!(severities(&healthy), [Severity::Ok; 3], "{healthy:?}");
}

#[test]
fn a_secret_that_may_not_be_read_is_said_to_be_that() {
    let found = said(false, &ca((2030, 1, 1)).pem(), Err(Unseen("you may not".to_owned())));
    assert!(!found[1].seen && found[1].finding.contains("you may not"), "{found:?}");
}

#[test]
fn a_bundle_that_is_empty_or_rubbish_trusts_nobody() {
    for (bundle, word) in [("", "empty caBundle"), ("rubbish", "no certificate that can be read")] {
        let found = said(false, bundle, Ok(None)).remove(0);
        assert!(found.severity == Severity::Fail && found.finding.contains(word), "{found:?}");
    }
}
