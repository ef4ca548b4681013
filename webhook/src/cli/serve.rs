//! `curfew serve`.

mod args;

use args::LogFormat;
pub use args::ServeArgs;

use crate::{
    admission::{Engine, Webhook},
    authority::Keeper,
    config,
    serve::{Ended, Identity, Reviews, Server, Signals},
    watch::{Completion, Namespaces, NamespacesFeed, Nodes, NodesFeed, Own, Watched},
};
use anyhow::Context;
use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// How long the API server may say nothing on a connection it was asked on.
const SILENCE: Duration = Duration::from_secs(90);

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
    let (offline, no_webhook) = (args.offline, args.no_webhook);
    let watches = !offline && behaviour.settings.watch;
    if no_webhook && !watches {
        anyhow::bail!("--no-webhook leaves nothing to do: the configuration has `watch: false`");
    }
    let own = args.own_pod.clone().zip(args.own_namespace.clone());
    let own = own.map(|(name, namespace)| Own { namespace, name });
    let (place, times) = (args.place(), args.times()?);
    let (config, identity) = args.server()?;
    let resolver = match &identity {
        Some(Identity::Given(resolver)) => Some(resolver.clone()),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(async {
        // Before the ports are bound: a signal during the start is one, too.
        let signals = Signals::of_this_process().context("cannot listen for signals")?;
        let client = match offline {
            true => None,
            false => Some(client().await?),
        };
        let watched = Watched::new(watches);
        let workloads = behaviour.catalogue.workloads.iter();
        let by_design: Vec<_> = workloads.filter_map(|row| row.handled_by.clone()).collect();
        let (reviews, feeds) = match identity {
            Some(identity) => {
                let (webhook, feeds) = webhook(behaviour, client.clone(), watched.clone());
                (Some(Reviews { identity, admit: Arc::new(webhook) }), feeds)
            }
            None => (None, None),
        };
        let server = Server::bind(config, reviews).await?;
        let readiness = server.readiness();
        let mut watches_at_work = JoinSet::new();
        if let Some((of_namespaces, of_nodes)) = feeds {
            watches_at_work.spawn(of_namespaces.run(readiness.gate("the list of namespaces")));
            watches_at_work.spawn(of_nodes.run(readiness.gate("the list of nodes")));
        }
        if let (Some(client), Some(place), Some(resolver)) = (client.clone(), place, resolver) {
            let metrics = server.metrics();
            let keeper =
                Keeper::new(client, place, times, resolver, readiness.clone(), &mut metrics.registry());
            watches_at_work.spawn(keeper.context("--service")?.run());
        }
        if let Some(client) = client.filter(|_| watches) {
            let metrics = server.metrics();
            let completion = Completion::new(client, own, by_design, watched, &mut metrics.registry());
            // Reviews are answered whether pods can be listed or not.
            let gate = no_webhook.then(|| readiness.gate("the list of pods"));
            watches_at_work.spawn(completion.run(gate));
        }
        tokio::select! {
            ended = server.run(signals) => Ok(ended?),
            error = broken(&mut watches_at_work) => Err(error),
        }
    })?;
    // Whatever still runs has been given up on.
    runtime.shutdown_background();
    Ok(match ended {
        Ended::Drained | Ended::Cut(_) => ExitCode::SUCCESS,
        Ended::Aborted => ExitCode::FAILURE,
    })
}

/// Waits until a watch ends, which none of them should: without it pods would be planned by what was once true, or hang, or the
/// certificate would end, and nobody would notice. The kubelet starts another process in place of this one.
async fn broken(watches: &mut JoinSet<()>) -> anyhow::Error {
    match watches.join_next().await {
        None => std::future::pending().await,
        Some(Ok(())) => anyhow::anyhow!(
            "a watch of the API server ended by itself: a mistake in Curfew, please report it"
        ),
        Some(Err(error)) => anyhow::anyhow!(
            "a watch of the API server broke down, which is a mistake in Curfew: please report it ({error})"
        ),
    }
}

/// The webhook, and what keeps it informed where there is an API server to ask.
fn webhook(
    behaviour: config::Config,
    client: Option<kube::Client>,
    watched: Watched,
) -> (Webhook, Option<(NamespacesFeed, NodesFeed)>) {
    let looked_at = &behaviour.settings.nodes;
    let (namespaces, nodes, feeds) = match client {
        None => (None, Nodes::fixed(looked_at.kubelets_unseen()), None),
        Some(client) => {
            let (namespaces, of_namespaces) = Namespaces::new(client.clone());
            let (nodes, of_nodes) = Nodes::new(client, looked_at);
            (Some(namespaces), nodes, Some((of_namespaces, of_nodes)))
        }
    };
    (Webhook::new(Engine::new(behaviour), namespaces, nodes, watched), feeds)
}

/// A client of the API server of this pod's service account, or of the current context of a kubeconfig.
async fn client() -> anyhow::Result<kube::Client> {
    let mut config = kube::Config::infer().await.context(
        "no Kubernetes API to ask about namespaces, nodes and pods: run in a pod with a service account, set KUBECONFIG, \
         or give --offline to do without",
    )?;
    // Every watch tries again by itself, and sooner: kube would keep a refusal to itself for up to three minutes.
    config.default_retry = false;
    // A connection that died without a word would hold a list or a patch for a quarter of an hour. Watches are told
    // something every minute.
    (config.read_timeout, config.reset_reader_on_write) = (Some(SILENCE), true);
    Ok(kube::Client::try_from(config)?)
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

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_breaks_down_is_an_error_with_its_reason() {
        let mut watches = JoinSet::new();
        watches.spawn(std::future::pending());
        watches.spawn(async { panic!("out of pods") });
        let error = broken(&mut watches).await.to_string();
        assert!(error.contains("broke down") && error.contains("out of pods"), "{error}");
        // One that is left goes on, and where there is none nothing can break.
        for watches in [&mut watches, &mut JoinSet::new()] {
            assert!(tokio::time::timeout(Duration::from_secs(3600), broken(watches)).await.is_err());
        }
    }
}
