//! The certificate the webhook shows, and the handshake it shows it in.

use super::ServeError;
use curfew_certs::{Files, Reloader, Resolver, SubjectName, files::Change, issue};
use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::task::JoinError;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig},
};

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Identity {
    /// From two files, which are read again when they change.
    Files(Files),
    /// Made at start, for these names.
    SelfSigned(Vec<SubjectName>),
    /// Whatever somebody puts in here.
    Given(Resolver),
}

/// An [`Identity`] that was loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    resolver: Resolver,
    pub(super) reloader: Option<Reloader>,
    /// What a client must trust, where we made it ourselves.
    pub(super) ca_pem: Option<String>,
}

// === impl Identity ===

impl Identity {
    pub(super) fn load(self) -> Result<Loaded, ServeError> {
        match self {
            Self::Files(files) => {
                let reloader = Reloader::open(files).map_err(ServeError::Certificate)?;
                Ok(Loaded { resolver: reloader.resolver(), reloader: Some(reloader), ca_pem: None })
            }
            Self::SelfSigned(names) => {
                let issued = issue::self_signed(&names, SystemTime::now()).map_err(ServeError::SelfSigned)?;
                let resolver = Resolver::new(issued.key);
                Ok(Loaded { resolver, reloader: None, ca_pem: Some(issued.ca_pem) })
            }
            Self::Given(resolver) => Ok(Loaded { resolver, reloader: None, ca_pem: None }),
        }
    }
}

// === impl Loaded ===

impl Loaded {
    /// What is served, for others to look at.
    pub(super) fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, ServeError> {
        let mut config = ServerConfig::builder_with_provider(curfew_certs::provider())
            // 1.2 beside 1.3, because an apiserver built for FIPS may know no more.
            .with_safe_default_protocol_versions()
            .map_err(ServeError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.resolver.clone()));
        // The apiserver asks its webhooks for HTTP/1.1 alone, so that its calls spread over their replicas. Without
        // HTTP/2 there are no streams to flood us with, and `Connection: close` is all that draining needs.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Keeps the certificate in step with its files, until it breaks down.
pub(super) async fn follow(mut reloader: Reloader, every: Duration) -> JoinError {
    loop {
        tokio::time::sleep(every).await;
        // Files may lie on a disk that is slow today, and this thread serves connections.
        let polled = tokio::task::spawn_blocking(move || {
            let change = reloader.poll();
            (reloader, change)
        });
        let change = match polled.await {
            Ok((same, change)) => {
                reloader = same;
                change
            }
            Err(error) => return error,
        };
        match change {
            Ok(Change::None) => {}
            Ok(Change::Renewed) => tracing::info!("Certificate renewed"),
            Err(error) => {
                tracing::error!(%error, "New certificate cannot be used, the old one stays in force")
            }
        }
    }
}

/// Why a handshake failed, in a few words that a metric can carry.
pub(super) fn failure(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        // The client refuses us, mostly because it does not trust our certificate.
        (Some(rustls::Error::AlertReceived(_)), _) => "refused_by_client",
        // It is no TLS, or none that we speak.
        (Some(_), _) => "protocol",
        // It only wanted to know whether somebody listens, as TCP probes do.
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => "closed",
        (None, io::ErrorKind::TimedOut) => "timeout",
        (None, _) => "io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, Error, InvalidMessage};

    #[test]
    fn failures_have_one_of_five_names() {
        for (error, name) in [
            (io::Error::other(Error::AlertReceived(AlertDescription::UnknownCA)), "refused_by_client"),
            (io::Error::other(Error::InvalidMessage(InvalidMessage::InvalidContentType)), "protocol"),
            (io::ErrorKind::UnexpectedEof.into(), "closed"),
            (io::ErrorKind::ConnectionReset.into(), "closed"),
            (io::ErrorKind::TimedOut.into(), "timeout"),
            (io::Error::other("else"), "io"),
        ] {
            assert_eq!(failure(&error), name, "{error}");
        }
    }

    #[test]
    fn a_missing_certificate_is_named_with_its_flag() {
        let files = Files { cert: "/nowhere/tls.crt".into(), key: "/nowhere/tls.key".into() };
        let error = Identity::Files(files).load().unwrap_err().to_string();
        assert!(error.contains("--tls-cert") && error.contains("/nowhere/tls.crt"), "{error}");
    }
}
