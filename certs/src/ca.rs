//! A CA and what it signs.

#[cfg(test)]
mod tests;

use crate::issue::{IssueError, SubjectName};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem, pem::PemObject};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A CA that can sign.
#[derive(Clone)]
pub struct Ca {
    certificate: CaCertificate,
    /// PKCS #8, as PEM.
    key_pem: String,
}

/// What others trust of a CA. Two are equal when they are the same certificate.
#[derive(Clone, Eq)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    pem: String,
    life: Life,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The first moment.
    pub from: SystemTime,
    /// The last.
    pub to: SystemTime,
}

/// A server certificate and its key.
#[derive(Clone)]
pub struct Leaf {
    /// Ready for a TLS server, its CA behind it.
    pub key: Arc<CertifiedKey>,
    /// The leaf alone, as PEM.
    pub certificate_pem: String,
    /// Its private key, as PEM.
    pub key_pem: String,
    /// Who signed it.
    pub issuer: CaCertificate,
    /// How long it is valid.
    pub life: Life,
}

/// Why a stored CA cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The certificate is no PEM.
    #[error("its certificate is no PEM: {0}")]
    Pem(#[from] pem::Error),
    /// PEM, but no certificate inside.
    #[error("its certificate cannot be read: {0}")]
    Certificate(String),
    /// A certificate that may sign nothing.
    #[error("its certificate is none of a CA")]
    NoCa,
    /// The key is none that can be used.
    #[error("its key cannot be read: {0}")]
    Key(#[from] rcgen::Error),
    /// Each is fine alone, but they do not belong together.
    #[error("its key belongs to another certificate")]
    Mismatch,
}

/// NotBefore lies this far back, because clocks differ between the machine that issues and the one that checks. Of a
/// life of minutes, as in trials, it is a quarter: two thirds would be over at once.
const SKEW: Duration = Duration::from_secs(5 * 60);

// === impl Ca ===

impl Ca {
    /// A new one, valid for `life` from `now` on.
    ///
    /// # Errors
    /// The generator failed.
    pub fn generate(now: SystemTime, life: Duration) -> Result<Self, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("Curfew self-signed CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = OffsetDateTime::from(now - SKEW.min(life / 4));
        params.not_after = OffsetDateTime::from(now + life);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let life = Life { from: params.not_before.into(), to: params.not_after.into() };
        let certificate = CaCertificate { der: certificate.der().clone(), pem: certificate.pem(), life };
        Ok(Self { certificate, key_pem: key.serialize_pem() })
    }

    /// One that was stored.
    ///
    /// # Errors
    /// Which of the two cannot be used, and why.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, Unusable> {
        let certificate = CaCertificate::from_pem(certificate)?;
        let parsed = KeyPair::from_pem(key)?;
        let issuer = Issuer::from_ca_cert_der(&certificate.der, &parsed)?;
        drop(issuer);
        let (_, x509) = read(&certificate.der)?;
        if x509.public_key().raw != parsed.subject_public_key_info() {
            return Err(Unusable::Mismatch);
        }
        Ok(Self { certificate, key_pem: key.to_owned() })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Its private key, as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Signs a server certificate for `names`, valid for `life` from `now` on, but never longer than the CA.
    ///
    /// # Errors
    /// There is no name, or the generator failed.
    pub fn sign(&self, names: &[SubjectName], now: SystemTime, life: Duration) -> Result<Leaf, IssueError> {
        if names.is_empty() {
            return Err(IssueError::NoName);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("Curfew webhook");
        params.subject_alt_names = names.iter().map(san).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = OffsetDateTime::from(now - SKEW.min(life / 4));
        // A leaf that outlived its CA would look valid and be refused.
        params.not_after = OffsetDateTime::from((now + life).min(self.certificate.life.to));
        let key = KeyPair::generate()?;
        let ca_key = KeyPair::from_pem(&self.key_pem)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, &ca_key)?;
        let certificate = params.signed_by(&key, &issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.der.clone()];
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Leaf {
            key: Arc::new(CertifiedKey::from_der(chain, private, &crate::provider())?),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            issuer: self.certificate.clone(),
            life: Life { from: params.not_before.into(), to: params.not_after.into() },
        })
    }
}

impl PartialEq for Ca {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

/// Written by hand so that the private key never reaches a log.
impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ca").field(&self.certificate).finish()
    }
}

// === impl CaCertificate ===

impl CaCertificate {
    /// The first certificate of a PEM text.
    ///
    /// # Errors
    /// It holds none, or none of a CA.
    pub fn from_pem(text: &str) -> Result<Self, Unusable> {
        let der = CertificateDer::from_pem_slice(text.as_bytes())?;
        let (_, x509) = read(&der)?;
        if !x509.is_ca() {
            return Err(Unusable::NoCa);
        }
        let life = Life::of_x509(&x509);
        let pem = pem_of(&der);
        Ok(Self { der, pem, life })
    }

    /// All certificates of a PEM text, as a `caBundle` is; what is none of a CA is left out.
    pub fn bundle_from_pem(text: &str) -> Vec<Self> {
        let ders = CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok);
        ders.filter_map(|der| Self::from_pem(&pem_of(&der)).ok()).collect()
    }

    /// As PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// How long it is valid.
    pub fn life(&self) -> Life {
        self.life
    }
}

impl PartialEq for CaCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaCertificate").field("life", &self.life).finish_non_exhaustive()
    }
}

// === impl Life ===

impl Life {
    /// That of a certificate.
    ///
    /// # Errors
    /// It is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Unusable> {
        read(certificate).map(|(_, x509)| Self::of_x509(&x509))
    }

    fn of_x509(x509: &X509Certificate<'_>) -> Self {
        let moment = |at: x509_parser::time::ASN1Time| SystemTime::from(at.to_datetime());
        let validity = x509.validity();
        Self { from: moment(validity.not_before), to: moment(validity.not_after) }
    }

    /// Two thirds of it are over, or it has not begun: time for another one.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let whole = self.to.duration_since(self.from).unwrap_or_default();
        !self.contains(now) || now >= self.from + whole / 3 * 2
    }

    /// It is valid at `now`.
    pub fn contains(&self, now: SystemTime) -> bool {
        (self.from..=self.to).contains(&now)
    }
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Result<(&'a [u8], X509Certificate<'a>), Unusable> {
    X509Certificate::from_der(der).map_err(|error| Unusable::Certificate(error.to_string()))
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    ::pem::encode_config(
        &::pem::Pem::new("CERTIFICATE", der.to_vec()),
        ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF),
    )
}

fn san(name: &SubjectName) -> Result<SanType, rcgen::Error> {
    Ok(match name {
        SubjectName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        SubjectName::Ip(ip) => SanType::IpAddress(*ip),
    })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
