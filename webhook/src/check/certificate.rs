//! Whether the certificates that are there and the bundle that the API server trusts agree, and how long they live.

use k8s_openapi::ByteString;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, pem::Pem, prelude::FromDer};

use super::{
    Facts, Finding, known,
    settings::{self, Certificates},
};

const SUBJECT: &str = "certificate";
const DAY: i64 = 24 * 60 * 60;
/// Told of this long before its end, as by the alerts: whoever renews it, Curfew itself included, would have done so by then.
const SOON: i64 = 30 * DAY;

/// One that was read.
struct Read<'a> {
    certificate: X509Certificate<'a>,
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(ours) = facts.ours().next() else { return Vec::new() };
    let name = known::name(ours);
    let bundles: Vec<&[u8]> = known::hooks(ours)
        .iter()
        .map(|hook| hook.client_config.ca_bundle.as_ref().map_or(&[][..], |ByteString(bytes)| bytes))
        .collect();
    let injected =
        ours.metadata.annotations.as_ref().and_then(|all| all.get("cert-manager.io/inject-ca-from"));
    let mut findings = Vec::new();
    if bundles.iter().any(|bundle| bundle.is_empty()) {
        let mend = match injected {
            Some(from) => format!(
                "cert-manager's cainjector fills it from {from}: see that it runs, and that the Certificate is ready"
            ),
            None => format!(
                "replicas fill it, where they keep their own CA: kubectl -n {} logs deploy/curfew; else set it",
                facts.own
            ),
        };
        findings.push(
            Finding::fail(SUBJECT, format!("{name} has an empty caBundle: the API server trusts nobody"))
                .mend(mend),
        );
        return findings;
    }
    if bundles.iter().any(|bundle| *bundle != bundles[0]) {
        findings.push(
            Finding::warn(SUBJECT, format!("the webhooks of {name} have caBundles that differ"))
                .mend("a rotation does that for a moment; otherwise give them the same"),
        );
    }
    let pems = blocks(bundles.first().copied().unwrap_or_default());
    let bundle: Vec<_> = pems.iter().filter_map(read).collect();
    let Some(longest) = bundle.iter().map(Read::ends).max() else {
        findings.push(
            Finding::fail(SUBJECT, format!("the caBundle of {name} holds no certificate that can be read"))
                .mend("set it to the PEM of the CA"),
        );
        return findings;
    };
    let own = facts.deployment().map(settings::certificates);
    let renewed = matches!(own, Some(Certificates::Own(_)));
    let which = if bundle.len() > 1 { "the last of the CAs" } else { "the CA" };
    findings.push(life(facts, &format!("{which} that the API server trusts ({name})"), longest));
    for (secret, seen) in &facts.secrets {
        findings.extend(match seen {
            Err(why) => vec![Finding::unseen(SUBJECT, &format!("Secret {secret}"), why)],
            Ok(None) if renewed => {
                vec![
                    Finding::warn(SUBJECT, format!("Secret {secret} is not there"))
                        .mend("replicas write it back: see their log"),
                ]
            }
            Ok(None) => vec![
                Finding::fail(SUBJECT, format!("Secret {secret} is not there: Curfew has no certificate"))
                    .mend("make it, with tls.crt and tls.key"),
            ],
            Ok(Some(text)) if renewed => authority(facts, secret, text, &bundle),
            Ok(Some(text)) => served(facts, secret, text, &bundle, injected.is_some()),
        });
    }
    findings
}

/// The CA that replicas sign their certificates with.
fn authority(facts: &Facts, secret: &str, text: &str, bundle: &[Read<'_>]) -> Vec<Finding> {
    let pems = blocks(text.as_bytes());
    let held: Vec<_> = pems.iter().filter_map(read).collect();
    // The first is the one that signs (`ca.crt`): the others are its successor, and those before it.
    let Some(active) = held.first() else {
        let text = format!("Secret {secret} holds no CA that can be read");
        return vec![
            Finding::fail(SUBJECT, text)
                .mend("replicas heal it unless it is another's: see their log, or delete it"),
        ];
    };
    let mut life = life(facts, &format!("the CA that signs, in Secret {secret},"), active.ends());
    if life.mend.is_some() {
        life.mend = Some(
            "replicas replace it after two thirds of its life: see their log for what keeps them from that"
                .to_owned(),
        );
    }
    let trusted = bundle.iter().any(|ca| ca.certificate.as_raw() == active.certificate.as_raw());
    let trust = match trusted {
        true => Finding::ok(SUBJECT, format!("the API server trusts the CA in Secret {secret}")),
        false => Finding::fail(
            SUBJECT,
            format!("the API server does not trust the CA in Secret {secret}: it is not in the caBundle"),
        )
        .mend(
            "replicas put it there: see their log, and that nothing else writes the caBundle (Argo CD, Flux)",
        ),
    };
    vec![life, trust]
}

/// The certificate that replicas read from a file.
fn served(
    facts: &Facts,
    secret: &str,
    text: &str,
    bundle: &[Read<'_>],
    by_cert_manager: bool,
) -> Vec<Finding> {
    let pems = blocks(text.as_bytes());
    let Some(leaf) = pems.iter().find_map(read) else {
        let text = format!("Secret {secret} holds no certificate that can be read");
        return vec![Finding::fail(SUBJECT, text).mend("put the PEM of the certificate in its tls.crt")];
    };
    let renew = if by_cert_manager {
        "see why cert-manager did not renew it"
    } else {
        "renew it, in the Secret: replicas read it again"
    };
    let mut findings = vec![life(facts, &format!("the certificate in Secret {secret}"), leaf.ends())];
    if let Some(late) = findings.iter_mut().find(|found| found.mend.is_some()) {
        late.mend = Some(renew.to_owned());
    }
    if leaf.begins() > facts.now.as_second() {
        let text = format!("the certificate in Secret {secret} is not valid yet");
        findings.push(
            Finding::fail(SUBJECT, text).mend("see to the clocks of whoever issued it and of this machine"),
        );
    }
    let signed =
        bundle.iter().any(|ca| leaf.certificate.verify_signature(Some(ca.certificate.public_key())).is_ok());
    findings.push(match signed {
        true => Finding::ok(SUBJECT, format!("the certificate in Secret {secret} is signed by a CA of the caBundle")),
        false => Finding::fail(SUBJECT, format!("the certificate in Secret {secret} is signed by no CA of the caBundle: the API server refuses it"))
            .mend("put the CA that signed it into the caBundle"),
    });
    let services = facts.ours().flat_map(known::hooks).filter_map(|hook| hook.client_config.service.as_ref());
    if let Some(service) = services.into_iter().next() {
        let name = format!("{}.{}.svc", service.name, service.namespace);
        if !leaf.names().any(|own| own == name) {
            let text = format!(
                "the certificate in Secret {secret} is not for {name}, the name the API server asks for"
            );
            findings
                .push(Finding::fail(SUBJECT, text).mend(format!("have one issued with the DNS name {name}")));
        }
    }
    findings
}

/// How long something still lives.
fn life(facts: &Facts, what: &str, ends: i64) -> Finding {
    let left = ends - facts.now.as_second();
    if left <= 0 {
        return Finding::fail(SUBJECT, format!("{what} ended {} days ago", -left / DAY))
            .mend("have another issued");
    }
    let text = format!("{what} lives for {} more days", left / DAY);
    match left < SOON {
        true => Finding::warn(SUBJECT, text).mend("have another issued"),
        false => Finding::ok(SUBJECT, text),
    }
}

/// The blocks that can be taken apart.
fn blocks(pem: &[u8]) -> Vec<Pem> {
    Pem::iter_from_buffer(pem).filter_map(Result::ok).collect()
}

fn read(pem: &Pem) -> Option<Read<'_>> {
    let (_, certificate) =
        X509Certificate::from_der(&pem.contents).ok().filter(|_| pem.label == "CERTIFICATE")?;
    Some(Read { certificate })
}

// === impl Read ===

impl Read<'_> {
    fn ends(&self) -> i64 {
        self.certificate.validity().not_after.timestamp()
    }

    fn begins(&self) -> i64 {
        self.certificate.validity().not_before.timestamp()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.certificate.subject_alternative_name().ok().flatten();
        names.into_iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
