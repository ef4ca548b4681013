//! A certificate chain and its key from two PEM files.
//!
//! The kubelet replaces a mounted Secret by swapping the `..data` symlink: the files a watch was set on are deleted,
//! never written to. So the content is read again from time to time and compared by its hash.

#[cfg(test)]
mod tests;

use crate::Resolver;
use rustls::{InconsistentKeys, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the chain and the key lie.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM: the leaf first, then whatever stands between it and a root.
    pub cert: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1, without a passphrase.
    pub key: PathBuf,
}

/// Why a pair cannot be used. Every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is missing or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no PEM.
    #[error("{} is not valid PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: pem::Error,
    },
    /// PEM, but without a certificate.
    #[error("{} holds no certificate: expected a PEM section CERTIFICATE", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// PEM, but without a private key.
    #[error("{} holds no private key: expected a PEM section PRIVATE KEY, without a passphrase", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Each is fine alone, but they do not belong together.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The TLS library cannot use them.
    #[error("cannot use {} with {}: {source}", cert.display(), key.display())]
    Refused {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library says.
        source: rustls::Error,
    },
}

/// Keeps a [`Resolver`] in step with two files.
#[derive(Debug)]
pub struct Reloader {
    files: Files,
    resolver: Resolver,
    seen: u64,
}

/// What [`Reloader::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The same as last time.
    None,
    /// A new pair is in force.
    Renewed,
}

/// Both files as one read found them.
struct Content {
    cert: io::Result<Vec<u8>>,
    key: io::Result<Vec<u8>>,
}

/// A Secret is swapped in one step, but two files are read in two: so the first is read again after the second, and
/// a difference means another turn. Whoever writes faster than this gets a report and the next poll.
const READS: usize = 3;

// === impl Files ===

impl Files {
    /// Reads both files and checks that they belong together.
    pub fn load(&self) -> Result<Arc<CertifiedKey>, LoadError> {
        self.parse(self.read())
    }

    fn read(&self) -> Content {
        let mut content = Content { cert: fs::read(&self.cert), key: fs::read(&self.key) };
        for _ in 1..READS {
            let again = fs::read(&self.cert);
            if fingerprint_of(&again) == fingerprint_of(&content.cert) {
                break;
            }
            content = Content { cert: again, key: fs::read(&self.key) };
        }
        content
    }

    fn parse(&self, content: Content) -> Result<Arc<CertifiedKey>, LoadError> {
        let Self { cert, key } = self;
        let chain_pem = content.cert.map_err(|source| LoadError::Read { path: cert.clone(), source })?;
        let key_pem = content.key.map_err(|source| LoadError::Read { path: key.clone(), source })?;
        let chain = chain_of(cert, &chain_pem)?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|source| match source {
            pem::Error::NoItemsFound => LoadError::NoKey { path: key.clone() },
            source => LoadError::Pem { path: key.clone(), source },
        })?;
        CertifiedKey::from_der(chain, private, &crate::provider()).map(Arc::new).map_err(
            |source| match source {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    LoadError::Mismatch { cert: cert.clone(), key: key.clone() }
                }
                source => LoadError::Refused { cert: cert.clone(), key: key.clone(), source },
            },
        )
    }
}

// === impl Reloader ===

impl Reloader {
    /// Loads the pair for the first time.
    pub fn open(files: Files) -> Result<Self, LoadError> {
        let content = files.read();
        let seen = content.fingerprint();
        let resolver = Resolver::new(files.parse(content)?);
        Ok(Self { files, resolver, seen })
    }

    /// The resolver that is kept in step.
    pub fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// Looks at the files once. A broken pair is reported once and leaves the one in force alone.
    pub fn poll(&mut self) -> Result<Change, LoadError> {
        let content = self.files.read();
        let found = content.fingerprint();
        if found == self.seen {
            return Ok(Change::None);
        }
        self.seen = found;
        self.resolver.replace(self.files.parse(content)?);
        Ok(Change::Renewed)
    }
}

// === impl Content ===

impl Content {
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        fingerprint_of(&self.cert).hash(&mut hasher);
        fingerprint_of(&self.key).hash(&mut hasher);
        hasher.finish()
    }
}

/// Not against an adversary (whoever writes these files needs no collision), only to notice a change without keeping
/// a second copy of the key in memory.
fn fingerprint_of(read: &io::Result<Vec<u8>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match read {
        Ok(bytes) => bytes.hash(&mut hasher),
        Err(error) => error.kind().hash(&mut hasher),
    }
    hasher.finish()
}

fn chain_of(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| LoadError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(LoadError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}
