//! A service mesh for tests, shaped like Linkerd or Istio, around a real Envoy and real iptables.
//!
//! One program for all parts, because one image holds them all. It answers to the names the meshes' own programs
//! have in their images, so that the containers it injects look as theirs do.

mod duration;
mod firewall;
mod http;
mod inject;
mod injector;
mod options;
mod proxy;
mod strip;
mod tls;
mod wait;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A service mesh for tests.
#[derive(Debug, Parser)]
#[command(name = "test-mesh")]
struct Program {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The admission webhook that puts the sidecar into pods
    Injector(injector::Args),
    /// The sidecar; told what to do by its environment, so that further words (Istio's) mean nothing
    Proxy {
        /// Ignored
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<OsString>,
    },
    /// Linkerd's init container
    #[command(name = "linkerd2-proxy-init")]
    LinkerdInit(firewall::LinkerdArgs),
    /// Istio's init container
    #[command(name = "istio-iptables")]
    IstioInit(firewall::IstioArgs),
    /// Linkerd's postStart hook: waits until the proxy is ready
    #[command(name = "linkerd-await")]
    LinkerdAwait(wait::LinkerdArgs),
    /// Istio's postStart hook: waits until the proxy is ready
    Wait(wait::IstioArgs),
    /// Istio's preStop hook: sends a request to the agent
    Request(wait::RequestArgs),
}

/// Names the program may be called by that are also a subcommand's.
const NAMES: [&str; 2] = ["linkerd2-proxy-init", "linkerd-await"];

fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("TEST_MESH_LOG").unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let program = Program::parse_from(words(std::env::args_os().collect()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        match program.part.unwrap_or(Part::Proxy { rest: Vec::new() }) {
            Part::Injector(args) => injector::run(args).await,
            Part::Proxy { .. } => proxy::run().await,
            Part::LinkerdInit(args) => firewall::install(&args.into()).await,
            Part::IstioInit(args) => firewall::install(&args.into()).await,
            Part::LinkerdAwait(args) => wait::linkerd(args).await,
            Part::Wait(args) => wait::istio(args).await,
            Part::Request(args) => wait::request(args).await,
        }
    });
    // Whatever still runs has nothing to say any more.
    runtime.shutdown_background();
    done
}

/// The command line with the subcommand that the program's own name stands for.
fn words(mut words: Vec<OsString>) -> Vec<OsString> {
    let called = words.first().map(Path::new).and_then(Path::file_name).map(ToOwned::to_owned);
    if let Some(name) = called.filter(|name| NAMES.iter().any(|known| name == known)) {
        words.insert(1, name);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(line: &str) -> Option<Part> {
        Program::try_parse_from(words(line.split_whitespace().map(OsString::from).collect())).unwrap().part
    }

    #[test]
    fn it_answers_to_the_names_the_meshes_use() {
        assert!(matches!(
            part("/usr/lib/linkerd/linkerd-await --timeout=2m --port=4191"),
            Some(Part::LinkerdAwait(_))
        ));
        assert!(matches!(part("pilot-agent wait"), Some(Part::Wait(_))));
        assert!(matches!(part("pilot-agent request --debug-port=15020 POST drain"), Some(Part::Request(_))));
        assert!(matches!(
            part("/test-mesh proxy sidecar --domain x.svc.cluster.local --proxyLogLevel=warning"),
            Some(Part::Proxy { .. })
        ));
        assert!(matches!(
            part(
                "/test-mesh istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -b * -d 15090 --log_output_level=default:info"
            ),
            Some(Part::IstioInit(_))
        ));
        // Linkerd's proxy container has neither command nor arguments.
        assert!(part("/test-mesh").is_none());
    }
}
