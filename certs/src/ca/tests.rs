use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn a_ca_read_back_signs_what_those_who_trusted_it_accept() {
    let made = Ca::generate(now(), DAY).unwrap();
    let read = Ca::from_pem(made.certificate().pem(), made.key_pem()).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.certificate().life(), made.certificate().life());
    assert_eq!(read.certificate().pem(), made.certificate().pem());
    let leaf = read.sign(&["localhost".parse().unwrap()], now(), DAY).unwrap();
    let (_, signed) = super::read(&leaf.key.cert[0]).unwrap();
    let (_, issuer) = super::read(&made.certificate.der).unwrap();
    assert_eq!(signed.issuer(), issuer.subject());
    let key_id = |oid| signed.get_extension_unique(&oid).unwrap().map(|found| found.value.to_vec());
    assert!(key_id(x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER).is_some());
}

#[test]
fn two_thirds_of_a_life_are_enough() {
    let life = Life { from: now(), to: now() + DAY * 3 };
    for (at, due) in [
        (now() - DAY, true),
        (now(), false),
        (now() + DAY * 2 - Duration::from_secs(1), false),
        (now() + DAY * 2, true),
        (now() + DAY * 4, true),
    ] {
        assert_eq!(life.is_due(at), due, "{at:?}");
    }
}

#[test]
fn a_bundle_is_read_whatever_stands_between() {
    let cas: Vec<_> = (0..3).map(|_| Ca::generate(now(), DAY).unwrap()).collect();
    let leaf = cas[0].sign(&["localhost".parse().unwrap()], now(), DAY).unwrap();
    let pems: Vec<_> = cas.iter().map(|ca| ca.certificate().pem()).collect();
    let text = format!("# ours\n{}{}\n\n{}{}", pems[0], leaf.certificate_pem, pems[1], pems[2]);
    let read = CaCertificate::bundle_from_pem(&text);
    assert!(read.iter().eq(cas.iter().map(Ca::certificate)));
}

#[test]
fn no_private_key_is_in_what_is_logged() {
    let ca = Ca::generate(now(), DAY).unwrap();
    assert!(!format!("{ca:?}").contains("PRIVATE"));
}
