//! The CA all replicas share, as one Secret keeps it.
//!
//! | field | |
//! |---|---|
//! | `ca.crt`, `ca.key` | the CA that signs every replica's leaf |
//! | `next.crt`, `next.key` | its successor, while that is made known and signs nothing yet |
//! | `previous.crt` | those before it, still trusted |
//! | `settled` | `true` once every API server had time to learn of `ca.crt` |

use crate::{
    ca::{Ca, CaCertificate, Unusable},
    issue::IssueError,
};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Fields of the Secret and their content.
pub type Fields = BTreeMap<String, Vec<u8>>;

/// The shared CA.
#[derive(Clone, Debug, PartialEq)]
pub struct Authority {
    /// Signs every leaf.
    pub active: Ca,
    /// Will be the next to do so.
    pub next: Option<Ca>,
    /// Did so before, newest first.
    pub previous: Vec<CaCertificate>,
    /// Every API server had time to learn of `active`, so it may sign at once.
    pub settled: bool,
}

/// Why the Secret's content is no [`Authority`].
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Broken {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const PREVIOUS: &str = "previous.crt";
const SETTLED: &str = "settled";

/// Every one of them is in each webhook's `caBundle`; nobody needs more.
const KEPT: usize = 3;

// === impl Authority ===

impl Authority {
    /// A new one, where clients may still hold to those in `trusted`.
    ///
    /// # Errors
    /// The generator failed.
    pub fn create(trusted: Vec<CaCertificate>, now: SystemTime, life: Duration) -> Result<Self, IssueError> {
        let active = Ca::generate(now, life)?;
        // Where nobody is trusted yet, nobody is lost by signing early.
        let settled = trusted.is_empty();
        Ok(Self { active, next: None, previous: trusted, settled }.tidied(now))
    }

    /// With a successor, to be made known.
    ///
    /// # Errors
    /// The generator failed.
    pub fn staged(&self, now: SystemTime, life: Duration) -> Result<Self, IssueError> {
        let next = Some(Ca::generate(now, life)?);
        Ok(Self { next, ..self.clone() }.tidied(now))
    }

    /// The successor signs from now on; every API server knows it by now.
    pub fn promoted(&self, now: SystemTime) -> Self {
        let Some(next) = self.next.clone() else { return self.clone() };
        let mut previous = vec![self.active.certificate().clone()];
        previous.extend(self.previous.iter().cloned());
        Self { active: next, next: None, previous, settled: true }.tidied(now)
    }

    /// Every API server knows the one that signs by now, although it came without being announced.
    pub fn settled(&self) -> Self {
        Self { settled: true, ..self.clone() }
    }

    /// With `ca` among those before, which this one did not tell of although it is still in use. Whoever trusts that
    /// one alone has yet to learn of the one that signs here. None goes for it before the next CA comes: of several that
    /// are told of one after the other, each would push out another for ever.
    pub fn trusting(&self, ca: &CaCertificate) -> Self {
        let mut previous = vec![ca.clone()];
        previous.extend(self.previous.iter().cloned());
        Self { previous, settled: false, ..self.clone() }
    }

    /// What clients have to trust. It depends on no clock: replicas that disagree about the time would each take out
    /// what another puts in. One that has ended leaves with the next CA, and does no harm until then.
    pub fn bundle(&self) -> Vec<CaCertificate> {
        let own = [Some(&self.active), self.next.as_ref()].into_iter().flatten().map(Ca::certificate);
        own.chain(&self.previous).cloned().collect()
    }

    /// Reads it from the Secret.
    ///
    /// # Errors
    /// The first field that cannot be used, and why.
    pub fn read(fields: &Fields) -> Result<Self, Broken> {
        let active =
            ca(fields, CERTIFICATE, KEY)?.ok_or_else(|| Broken::new(CERTIFICATE, "it is missing"))?;
        let next = ca(fields, NEXT_CERTIFICATE, NEXT_KEY)?;
        let previous = text(fields, PREVIOUS)?.map(CaCertificate::bundle_from_pem).unwrap_or_default();
        let settled = text(fields, SETTLED)?.is_some_and(|settled| settled.trim() == "true");
        Ok(Self { active, next, previous, settled })
    }

    /// Writes it for the Secret.
    pub fn write(&self) -> Fields {
        let mut fields = Fields::new();
        let mut put = |name: &str, text: String| fields.insert(name.to_owned(), text.into_bytes());
        put(CERTIFICATE, self.active.certificate().pem().to_owned());
        put(KEY, self.active.key_pem().to_owned());
        if let Some(next) = &self.next {
            put(NEXT_CERTIFICATE, next.certificate().pem().to_owned());
            put(NEXT_KEY, next.key_pem().to_owned());
        }
        if !self.previous.is_empty() {
            put(PREVIOUS, pem_of(&self.previous));
        }
        put(SETTLED, self.settled.to_string());
        fields
    }

    fn tidied(mut self, now: SystemTime) -> Self {
        let active = self.active.certificate().clone();
        self.previous.retain(|ca| ca.life().contains(now) && *ca != active);
        self.previous.truncate(KEPT);
        self
    }
}

/// Several certificates as one PEM text, as a `caBundle` is.
pub fn pem_of(bundle: &[CaCertificate]) -> String {
    bundle.iter().map(CaCertificate::pem).collect()
}

// === impl Broken ===

impl Broken {
    fn new(field: &'static str, why: impl ToString) -> Self {
        Self { field, why: why.to_string() }
    }
}

/// A certificate and its key, both or neither.
fn ca(fields: &Fields, certificate: &'static str, key: &'static str) -> Result<Option<Ca>, Broken> {
    match (text(fields, certificate)?, text(fields, key)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Broken::new(key, "it is missing")),
        (None, Some(_)) => Err(Broken::new(certificate, "it is missing")),
        (Some(pem), Some(key_pem)) => Ca::from_pem(pem, key_pem).map(Some).map_err(|why| match why {
            Unusable::Key(_) | Unusable::Mismatch => Broken::new(key, why),
            why => Broken::new(certificate, why),
        }),
    }
}

fn text<'a>(fields: &'a Fields, name: &'static str) -> Result<Option<&'a str>, Broken> {
    let Some(bytes) = fields.get(name) else { return Ok(None) };
    str::from_utf8(bytes).map(Some).map_err(|why| Broken::new(name, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

    fn authority(now: SystemTime) -> Authority {
        Authority::create(Vec::new(), now, YEAR).unwrap()
    }

    /// Seconds alone are kept.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn what_is_written_is_read_back_at_every_stage() {
        let first = authority(now());
        let staged = first.staged(now(), YEAR).unwrap();
        let promoted = staged.promoted(now());
        let again = promoted.staged(now(), YEAR).unwrap();
        let replaced = Authority::create(first.bundle(), now(), YEAR).unwrap();
        for authority in [first, staged, promoted, again, replaced.settled(), replaced] {
            assert_eq!(Authority::read(&authority.write()).unwrap(), authority);
        }
    }

    #[test]
    fn the_bundle_has_the_successor_and_those_before_until_they_have_ended_and_another_comes() {
        let staged = authority(now()).staged(now() + YEAR / 2, YEAR).unwrap();
        let next = staged.next.as_ref().unwrap().certificate();
        assert_eq!(staged.bundle(), [staged.active.certificate().clone(), next.clone()]);
        let promoted = staged.promoted(now() + YEAR / 2);
        assert_eq!(promoted.active.certificate(), next);
        assert_eq!(promoted.bundle(), [next.clone(), staged.active.certificate().clone()]);
        let again = promoted.staged(now() + YEAR + YEAR / 4, YEAR).unwrap();
        assert!(again.bundle().contains(next) && !again.bundle().contains(staged.active.certificate()));
    }

    #[test]
    fn no_more_than_three_are_kept_of_those_before() {
        let mut authority = authority(now());
        for _ in 0..10 {
            authority = authority.staged(now(), YEAR).unwrap().promoted(now());
        }
        assert_eq!(authority.bundle().len(), 1 + KEPT);
    }

    #[test]
    fn a_broken_field_is_named_with_the_reason() {
        let authority = authority(now()).staged(now(), YEAR).unwrap();
        let other = Authority::create(Vec::new(), now(), YEAR).unwrap().write();
        let leaf = other_leaf();
        let cases: [(&str, Option<&[u8]>, &str); 7] = [
            ("ca.crt", None, "ca.crt: it is missing"),
            ("ca.key", None, "ca.key: it is missing"),
            ("ca.crt", Some(b"garbage"), "ca.crt: its certificate is no PEM"),
            ("ca.crt", Some(b"\xff"), "ca.crt: invalid utf-8"),
            ("ca.crt", Some(leaf.as_bytes()), "ca.crt: its certificate is none of a CA"),
            ("ca.key", Some(b"garbage"), "ca.key: its key cannot be read"),
            ("next.key", Some(&other["ca.key"]), "next.key: its key belongs to another certificate"),
        ];
        for (field, content, said) in cases {
            let mut fields = authority.write();
            match content {
                Some(content) => fields.insert(field.to_owned(), content.to_owned()),
                None => fields.remove(field),
            };
            let error = Authority::read(&fields).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    fn other_leaf() -> String {
        let ca = Ca::generate(now(), YEAR).unwrap();
        ca.sign(&["localhost".parse().unwrap()], now(), YEAR).unwrap().certificate_pem
    }
}
