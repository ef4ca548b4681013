//! Flags of `curfew serve`.

use crate::{
    duration::Duration,
    serve::{Config, Identity, Limits},
};
use clap::Args;
use curfew_certs::{Files, SubjectName};
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
        conflicts_with_all = ["offline", "tls_cert", "tls_key", "self_signed"]
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
    /// The server's configuration, from all flags that concern it; without an identity it answers no reviews.
    pub(super) fn server(self) -> anyhow::Result<(Config, Option<Identity>)> {
        let ServeArgs {
            listen,
            admin_listen,
            tls_cert,
            tls_key,
            self_signed,
            self_signed_san,
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
                    "no certificate: give --tls-cert FILE and --tls-key FILE, or --self-signed for a first try, or \
                     --no-webhook to do without"
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::time;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(flags: &str) -> Result<ServeArgs, clap::Error> {
        Program::try_parse_from(std::iter::once("serve").chain(flags.split_whitespace()))
            .map(|program| program.args)
    }

    fn config_of(flags: &str) -> anyhow::Result<(Config, Option<Identity>)> {
        parse(flags)?.server()
    }

    #[test]
    fn defaults_are_the_servers_own() {
        let (config, identity) = config_of("--self-signed").unwrap();
        let Some(Identity::SelfSigned(names)) = identity else { panic!("{identity:?}") };
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["localhost", "127.0.0.1"]);
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn without_a_webhook_no_certificate_is_needed() {
        assert!(config_of("--no-webhook").unwrap().1.is_none());
        for flags in ["--no-webhook --self-signed", "--no-webhook --offline", "--own-pod curfew-a"] {
            assert!(config_of(flags).is_err(), "{flags}");
        }
    }

    #[test]
    fn flags_reach_the_server() {
        let (config, identity) = config_of(
            "--listen [::1]:0 --admin-listen 127.0.0.1:1 --tls-cert c --tls-key k --max-connections 7 \
             --drain-delay 0 --drain-timeout 1m30s --announce a",
        )
        .unwrap();
        assert!(matches!(identity, Some(Identity::Files(Files { cert, .. })) if cert.ends_with("c")));
        assert_eq!((config.listen.to_string(), config.admin_listen.port()), ("[::1]:0".into(), 1));
        assert_eq!(config.limits.connections, 7);
        assert_eq!((config.drain_delay, config.drain_timeout.as_secs()), (time::Duration::ZERO, 90));
        assert_eq!(config.announce, Some("a".into()));
    }

    #[test]
    fn a_mistake_is_named_with_its_flag() {
        for (flags, part) in [
            ("", "give --tls-cert FILE and --tls-key FILE, or --self-signed"),
            ("--tls-cert c", "without --tls-key"),
            ("--tls-key k", "without --tls-cert"),
            ("--self-signed --tls-cert c --tls-key k", "--self-signed"),
            ("--self-signed --drain-delay 10", "--drain-delay"),
            ("--self-signed --listen here", "--listen"),
            ("--self-signed --max-connections 0", "--max-connections"),
            ("--self-signed --self-signed-san a..b", "--self-signed-san"),
        ] {
            let error = config_of(flags).unwrap_err().to_string();
            assert!(error.contains(part), "{flags}: {error}");
        }
    }
}
