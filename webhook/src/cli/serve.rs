//! `curfew serve`.

use crate::{
    admission::{Engine, Webhook},
    config,
    duration::Duration,
    serve::{Config, Ended, Identity, Limits, Server, Signals},
    watch::{Namespaces, Nodes},
};
use anyhow::Context;
use clap::Args;
use curfew_certs::{Files, SubjectName};
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

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

/// Reads the configuration, and prints it or serves by it.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let config = match &args.config {
        Some(path) => config::Config::load(path).context("--config")?,
        None => config::Config::builtin()?,
    };
    if args.print_config {
        super::print(&config.to_yaml())?;
        return Ok(ExitCode::SUCCESS);
    }
    serve(args, config)
}

/// Serves until a signal ends it.
fn serve(args: ServeArgs, behaviour: config::Config) -> anyhow::Result<ExitCode> {
    log_to_stderr(&args)?;
    let offline = args.offline;
    let config = server_config(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(async {
        // Before the ports are bound: a signal during the start is one, too.
        let signals = Signals::of_this_process().context("cannot listen for signals")?;
        let looked_at = &behaviour.settings.nodes;
        let (namespaces, nodes, feeds) = match offline {
            true => {
                let unseen = looked_at.kubelets_unseen();
                (None, Nodes::fixed(unseen), None)
            }
            false => {
                let client = client().await?;
                let (namespaces, of_namespaces) = Namespaces::new(client.clone());
                let (nodes, of_nodes) = Nodes::new(client, looked_at);
                (Some(namespaces), nodes, Some((of_namespaces, of_nodes)))
            }
        };
        let watch = !offline && behaviour.settings.watch;
        let webhook = Webhook::new(Engine::new(behaviour), namespaces, nodes, watch);
        let server = Server::bind(config, Arc::new(webhook)).await?;
        if let Some((of_namespaces, of_nodes)) = feeds {
            tokio::spawn(of_namespaces.run(server.readiness().gate("the list of namespaces")));
            tokio::spawn(of_nodes.run(server.readiness().gate("the list of nodes")));
        }
        anyhow::Ok(server.run(signals).await)
    })?;
    // Whatever still runs has been given up on.
    runtime.shutdown_background();
    Ok(match ended {
        Ended::Drained | Ended::Cut(_) => ExitCode::SUCCESS,
        Ended::Aborted => ExitCode::FAILURE,
    })
}

/// A client of the API server of this pod's service account, or of the current context of a kubeconfig.
async fn client() -> anyhow::Result<kube::Client> {
    kube::Client::try_default().await.context(
        "no Kubernetes API to ask about namespaces and nodes: run in a pod with a service account, set KUBECONFIG, \
         or give --offline to do without",
    )
}

/// The server's configuration, from all flags that concern it.
fn server_config(args: ServeArgs) -> anyhow::Result<Config> {
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
        log_format: _,
        log: _,
        config: _,
        print_config: _,
    } = args;
    let identity = match (tls_cert, tls_key, self_signed) {
        (Some(cert), Some(key), false) => Identity::Files(Files { cert, key }),
        (None, None, true) => Identity::SelfSigned(self_signed_san),
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
                "no certificate: give --tls-cert FILE and --tls-key FILE, or --self-signed for a first try"
            )
        }
    };
    let defaults = Config::new(identity);
    Ok(Config {
        listen,
        admin_listen,
        limits: Limits { connections: max_connections, ..defaults.limits },
        drain_delay: drain_delay.as_std(),
        drain_timeout: drain_timeout.as_std(),
        announce,
        ..defaults
    })
}

fn log_to_stderr(args: &ServeArgs) -> anyhow::Result<()> {
    let filter: EnvFilter =
        args.log.parse().with_context(|| format!("--log {:?}: write a level, as in info", args.log))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match args.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).finish().try_init(),
    };
    result.context("cannot set up logging")
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

    fn config_of(flags: &str) -> anyhow::Result<Config> {
        server_config(parse(flags)?)
    }

    #[test]
    fn defaults_are_the_servers_own() {
        let config = config_of("--self-signed").unwrap();
        let Identity::SelfSigned(names) = &config.identity else { panic!("{config:?}") };
        assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["localhost", "127.0.0.1"]);
        let defaults = Config::new(config.identity.clone());
        assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn flags_reach_the_server() {
        let config = config_of(
            "--listen [::1]:0 --admin-listen 127.0.0.1:1 --tls-cert c --tls-key k --max-connections 7 \
             --drain-delay 0 --drain-timeout 1m30s --announce a",
        )
        .unwrap();
        assert!(matches!(&config.identity, Identity::Files(Files { cert, .. }) if cert.ends_with("c")));
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
