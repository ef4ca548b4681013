//! Flags of `curfew serve`.

#[cfg(test)]
mod tests;

use crate::{
    authority::Place,
    duration::Duration,
    serve::{Config, Identity, Limits},
};
use clap::Args;
use curfew_certs::{Files, Resolver, SubjectName, rotation::Times};
use std::{net::SocketAddr, path::PathBuf};

/// Flags of the server. Each can also be set by the environment variable it names.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Address for reviews, over TLS; port 0 takes any that is free. On a cluster of IPv6 alone: [::]:9443
    #[arg(long, env = "CURFEW_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,

    /// Address for /healthz, /readyz and /metrics, in plain HTTP
    #[arg(long, env = "CURFEW_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_listen: SocketAddr,

    /// Certificate chain, PEM; read again when it changes
    #[arg(long, env = "CURFEW_TLS_CERT", value_name = "FILE", conflicts_with = "self_signed")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, env = "CURFEW_TLS_KEY", value_name = "FILE", conflicts_with = "self_signed")]
    pub tls_key: Option<PathBuf>,

    /// Make a CA and a certificate at start, for a demo or a first try
    #[arg(long, env = "CURFEW_SELF_SIGNED")]
    pub self_signed: bool,

    /// Names in the certificate made at start
    #[arg(
        long,
        env = "CURFEW_SELF_SIGNED_SAN",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "localhost,127.0.0.1"
    )]
    pub self_signed_san: Vec<SubjectName>,

    /// Keep a CA of Curfew's own in this Secret of its own namespace, have the webhook configuration trust it, and renew
    /// both in time
    #[arg(
        long,
        env = "CURFEW_TLS_SECRET",
        value_name = "NAME",
        requires = "own_namespace",
        conflicts_with_all = ["tls_cert", "tls_key", "self_signed", "offline"]
    )]
    pub tls_secret: Option<String>,

    /// The Service API servers call the webhook by, for that certificate
    #[arg(long, env = "CURFEW_SERVICE", value_name = "NAME", default_value = "curfew")]
    pub service: String,

    /// The MutatingWebhookConfiguration that has to trust that CA
    #[arg(long, env = "CURFEW_WEBHOOK_CONFIGURATION", value_name = "NAME", default_value = "00-curfew")]
    pub webhook_configuration: String,

    /// How long a CA of Curfew's own is valid, another comes after two thirds of it: 1m to 87600h. The lives are for trials
    #[arg(
        long,
        env = "CURFEW_CA_LIFE",
        value_name = "DURATION",
        default_value = "8760h",
        hide_short_help = true
    )]
    pub ca_life: Duration,

    /// How long a certificate it signs is valid: 30s up to the life of the CA
    #[arg(
        long,
        env = "CURFEW_LEAF_LIFE",
        value_name = "DURATION",
        default_value = "168h",
        hide_short_help = true
    )]
    pub leaf_life: Duration,

    /// Connections open at once on the port for reviews; more wait
    #[arg(
        long,
        env = "CURFEW_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value_t = Limits::default().connections,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections: u32,

    /// How long to go on answering after SIGTERM, until no endpoint leads here any more
    #[arg(long, env = "CURFEW_DRAIN_DELAY", value_name = "DURATION", default_value = "10s")]
    pub drain_delay: Duration,

    /// How long open connections then get to finish
    #[arg(long, env = "CURFEW_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    pub drain_timeout: Duration,

    /// Write both addresses, and the CA made at start, to this file as JSON once they are known
    #[arg(long, env = "CURFEW_ANNOUNCE", value_name = "FILE")]
    pub announce: Option<PathBuf>,

    /// Ask no Kubernetes API: annotations of namespaces are no defaults then, and no nodes are looked at
    #[arg(long, env = "CURFEW_OFFLINE")]
    pub offline: bool,

    /// Answer no reviews: only watch pods, and tell them when their work is done. Needs no certificate
    #[arg(
        long,
        env = "CURFEW_NO_WEBHOOK",
        conflicts_with_all = ["offline", "tls_cert", "tls_key", "tls_secret", "self_signed"]
    )]
    pub no_webhook: bool,

    /// Name of the pod this runs in, so that replicas share the pods they watch
    #[arg(long, env = "CURFEW_POD", value_name = "NAME", requires = "own_namespace", hide_short_help = true)]
    pub own_pod: Option<String>,

    /// Its namespace
    #[arg(long, env = "CURFEW_NAMESPACE", value_name = "NAME", hide_short_help = true)]
    pub own_namespace: Option<String>,

    /// How log lines are written, to standard error
    #[arg(long, env = "CURFEW_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged: a level, or levels by module as in info,curfew::serve=debug
    #[arg(long, env = "CURFEW_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Behaviour, as YAML
    #[arg(long, env = "CURFEW_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print the behaviour in force and end
    #[arg(long)]
    pub print_config: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

// === impl ServeArgs ===

impl ServeArgs {
    /// Where a CA of Curfew's own is kept, if it is to have one.
    pub(super) fn place(&self) -> Option<Place> {
        Some(Place {
            secret: self.tls_secret.clone()?,
            namespace: self.own_namespace.clone()?,
            service: self.service.clone(),
            configuration: self.webhook_configuration.clone(),
        })
    }

    /// How long what it signs is valid.
    pub(super) fn times(&self) -> anyhow::Result<Times> {
        let (ca, leaf) = (self.ca_life, self.leaf_life);
        let (shortest, longest) = (Duration::from_secs(60), Duration::from_secs(10 * 365 * 24 * 3600));
        anyhow::ensure!(
            (shortest..=longest).contains(&ca),
            "--ca-life {ca}: write 1m to 87600h, as in 8760h"
        );
        let shortest = Duration::from_secs(30);
        anyhow::ensure!(
            (shortest..=ca).contains(&leaf),
            "--leaf-life {leaf}: write 30s up to the life of the CA, which is {ca} by --ca-life"
        );
        Ok(Times::with_lives(ca.as_std(), leaf.as_std()))
    }

    /// The server's configuration, from all flags that concern it; without an identity it answers no reviews.
    pub(super) fn server(self) -> anyhow::Result<(Config, Option<Identity>)> {
        let ServeArgs {
            listen,
            admin_listen,
            tls_cert,
            tls_key,
            self_signed,
            self_signed_san,
            tls_secret,
            service: _,
            webhook_configuration: _,
            ca_life: _,
            leaf_life: _,
            max_connections,
            drain_delay,
            drain_timeout,
            announce,
            offline: _,
            no_webhook,
            own_pod: _,
            own_namespace: _,
            log_format: _,
            log: _,
            config: _,
            print_config: _,
        } = self;
        let identity = match (tls_cert, tls_key, self_signed) {
            (Some(cert), Some(key), false) => Some(Identity::Files(Files { cert, key })),
            (None, None, true) => Some(Identity::SelfSigned(self_signed_san)),
            (None, None, false) if tls_secret.is_some() => Some(Identity::Given(Resolver::default())),
            (None, None, false) if no_webhook => None,
            (Some(_), None, _) => {
                anyhow::bail!("--tls-cert is given without --tls-key: give the FILE with its key")
            }
            (None, Some(_), _) => {
                anyhow::bail!("--tls-key is given without --tls-cert: give the FILE with its chain")
            }
            (Some(_), Some(_), true) => {
                anyhow::bail!("--self-signed is given beside --tls-cert: give one of them")
            }
            (None, None, false) => {
                anyhow::bail!(
                    "no certificate: give --tls-cert FILE and --tls-key FILE, or --tls-secret NAME to have Curfew make \
                     its own, or --self-signed for a first try, or --no-webhook to do without"
                )
            }
        };
        let defaults = Config::default();
        let config = Config {
            listen,
            admin_listen,
            limits: Limits { connections: max_connections, ..defaults.limits },
            drain_delay: drain_delay.as_std(),
            drain_timeout: drain_timeout.as_std(),
            announce,
            ..defaults
        };
        Ok((config, identity))
    }
}
