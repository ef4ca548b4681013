//! A self-signed CA and a leaf under it.
//!
//! Nothing is stored: the pair lives as long as the process that made it, so it suits a demo and a first try, where
//! whoever calls the server is handed the CA.

use crate::ca::{Ca, Leaf};
use rustls::sign::CertifiedKey;
use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A name a certificate is valid for: a DNS name or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A host name, possibly with `*` as its first label.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// What [`self_signed`] made.
#[derive(Clone)]
pub struct Issued {
    /// The CA's certificate as PEM: what a client must trust.
    pub ca_pem: String,
    /// The leaf and its CA as PEM, in the order a server sends them.
    pub chain_pem: String,
    /// The leaf's private key as PEM.
    pub key_pem: String,
    /// The same pair, ready for a TLS server.
    pub key: Arc<CertifiedKey>,
}

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// No name to issue a certificate for.
    #[error("a certificate needs at least one name, as in localhost or 127.0.0.1")]
    NoName,
    /// A text that is neither an address nor a host name.
    #[error(
        "{name:?} is neither an IP address nor a DNS name: write it as in curfew.curfew.svc or 127.0.0.1"
    )]
    Name {
        /// The text as given.
        name: String,
    },
    /// The generator failed.
    #[error("cannot issue a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refuses what was generated.
    #[error("the TLS library refuses the certificate issued: {0}")]
    Refused(#[from] rustls::Error),
}

/// How long the two certificates are valid. A process is replaced long before.
const CA_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

// === impl SubjectName ===

impl FromStr for SubjectName {
    type Err = IssueError;

    fn from_str(text: &str) -> Result<Self, IssueError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let labels = text.strip_prefix("*.").unwrap_or(text);
        rustls_pki_types::DnsName::try_from(labels)
            .map(|_| Self::Dns(text.to_owned()))
            .map_err(|_| IssueError::Name { name: text.to_owned() })
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

// === impl Issued ===

/// Written by hand so that the private key never reaches a log.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// Issues a new CA and, under it, a server certificate for `names`, both valid at `now` and from a little before.
pub fn self_signed(names: &[SubjectName], now: SystemTime) -> Result<Issued, IssueError> {
    issue(names, now, CA_LIFE, LEAF_LIFE)
}

fn issue(
    names: &[SubjectName],
    now: SystemTime,
    ca_life: Duration,
    leaf_life: Duration,
) -> Result<Issued, IssueError> {
    let ca = Ca::generate(now, ca_life)?;
    let leaf = ca.sign(names, now, leaf_life)?;
    let ca_pem = ca.certificate().pem().to_owned();
    let Leaf { key, certificate_pem, key_pem, .. } = leaf;
    Ok(Issued { chain_pem: certificate_pem + &ca_pem, ca_pem, key_pem, key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{RootCertStore, client::WebPkiServerVerifier};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn names(texts: &[&str]) -> Vec<SubjectName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// NotBefore and NotAfter in seconds since 1970.
    fn validity(der: &CertificateDer<'_>) -> (i64, i64) {
        let (_, cert) = X509Certificate::from_der(der).unwrap();
        (cert.validity().not_before.timestamp(), cert.validity().not_after.timestamp())
    }

    fn verify(issued: &Issued, name: &str, at: SystemTime) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(issued.ca_pem.as_bytes()).unwrap()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crate::provider()).build().unwrap();
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        use rustls::client::danger::ServerCertVerifier;
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&issued.key.cert[0], &issued.key.cert[1..], &name, &[], at).map(|_| ())
    }

    #[test]
    fn a_client_that_trusts_the_ca_accepts_every_name_and_no_other() {
        let now = SystemTime::now();
        let issued = self_signed(&names(&["localhost", "127.0.0.1", "::1", "*.curfew.svc"]), now).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "webhook.curfew.svc"] {
            verify(&issued, name, now).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for name in ["example.com", "127.0.0.2", "a.b.curfew.svc"] {
            assert!(verify(&issued, name, now).is_err(), "{name}");
        }
    }

    #[test]
    fn is_valid_for_a_client_whose_clock_is_a_little_behind() {
        let now = SystemTime::now();
        let issued = self_signed(&names(&["localhost"]), now).unwrap();
        verify(&issued, "localhost", now - Duration::from_secs(290)).unwrap();
        assert!(verify(&issued, "localhost", now - Duration::from_secs(400)).is_err());
    }

    #[test]
    fn the_leaf_never_outlives_its_ca() {
        let now = SystemTime::now();
        for (ca_life, leaf_life) in [(DAY, DAY * 30), (DAY * 30, DAY)] {
            let issued = issue(&names(&["localhost"]), now, ca_life, leaf_life).unwrap();
            let (_, leaf_end) = validity(&issued.key.cert[0]);
            let (_, ca_end) = validity(&issued.key.cert[1]);
            let expected = now.duration_since(SystemTime::UNIX_EPOCH).unwrap() + leaf_life.min(ca_life);
            assert!(leaf_end <= ca_end);
            assert_eq!(leaf_end, expected.as_secs() as i64);
        }
    }

    #[test]
    fn two_issues_share_neither_key_nor_serial() {
        let issued = || self_signed(&names(&["localhost"]), SystemTime::now()).unwrap();
        let (one, two) = (issued(), issued());
        assert_ne!(one.key_pem, two.key_pem);
        let serial =
            |issued: &Issued| X509Certificate::from_der(&issued.key.cert[0]).unwrap().1.raw_serial().to_vec();
        assert_ne!(serial(&one), serial(&two));
    }

    #[test]
    fn names_become_dns_names_and_addresses() {
        let issued = self_signed(&names(&["localhost", "10.0.0.1"]), SystemTime::now()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&issued.key.cert[0]).unwrap();
        let found = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.clone();
        assert_eq!(found, [GeneralName::DNSName("localhost"), GeneralName::IPAddress(&[10, 0, 0, 1])]);
    }

    #[test]
    fn refuses_what_is_no_name() {
        for text in ["", "no spaces please", "a..b", "-", "http://localhost", "*."] {
            let error = text.parse::<SubjectName>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(matches!(self_signed(&[], SystemTime::now()), Err(IssueError::NoName)));
    }
}
