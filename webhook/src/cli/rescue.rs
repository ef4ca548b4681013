//! `curfew rescue`.

use std::process::ExitCode;

use futures_util::{StreamExt, stream};

use super::{
    given::{BehaviourArgs, ClusterArgs},
    print, report,
};
use crate::{
    duration::Duration,
    plan::Namespace,
    rescue::{self, Circumstances, Cluster, Hanging, Outcome, Scope},
};

/// Pods that are let go at once.
const AT_ONCE: usize = 32;
/// Usage, or rights that are missing: nothing was tried, or could be.
const CANNOT: u8 = 2;

/// Flags of `curfew rescue`.
#[derive(Debug, clap::Args)]
pub(super) struct RescueArgs {
    /// Pods to look at, by name; all of the namespace if none is named
    #[arg(value_name = "POD", conflicts_with_all = ["all_namespaces", "selector"])]
    pods: Vec<String>,
    /// Namespace to look in; the context's if not given
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Look in all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Labels of the pods to look at, as in app=report,tier!=test
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Let go what was found; without it nothing is changed
    #[arg(long)]
    yes: bool,
    /// How to tell what was found
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The no-op image, as your nodes can pull it; if not given, curfew-noop from where the configuration's reaper.image is
    #[arg(long, value_name = "IMAGE", env = "CURFEW_NOOP_IMAGE")]
    image: Option<String>,
    /// How long ago the mains must have ended; before, the pod may be about to end by itself
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    older_than: Duration,
    /// How long to wait for each pod's end
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: Duration,
    /// Take on pods, too, whose owner ends the sidecars itself: Argo Workflows, Tekton and the like
    #[arg(long)]
    include_handled: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// How to tell what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// One document.
    Json,
}

/// Nothing hangs any more: 0. Something does: 1. It could not be looked for, or a right was missing: 2.
pub(super) fn run(args: RescueArgs) -> anyhow::Result<ExitCode> {
    let result = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into);
    let result = result.and_then(|runtime| runtime.block_on(rescue(args)));
    Ok(result.unwrap_or_else(|error: anyhow::Error| {
        report(&format!("curfew rescue: {error:#}"));
        ExitCode::from(CANNOT)
    }))
}

async fn rescue(args: RescueArgs) -> anyhow::Result<ExitCode> {
    let (cluster, own) = args.cluster.connect().await?;
    let config = args.behaviour.config(Some(&cluster.client())).await?;
    let image = args.image.clone().unwrap_or_else(|| rescue::noop::beside(&config.settings.reaper.image));
    let namespace = if args.all_namespaces { None } else { Some(args.namespace.clone().unwrap_or(own)) };
    let scope = Scope { namespace, selector: args.selector.clone(), pods: args.pods.clone() };
    let now = rescue::now();
    let around = Circumstances {
        config: &config,
        namespace: &Namespace::default(),
        now,
        older_than: args.older_than.as_std(),
        include_handled: args.include_handled,
    };
    let (found, others) = cluster.find(&scope, around).await?;
    others.iter().for_each(|other| report(other));
    let people = args.output == Output::Table;
    if people && found.is_empty() {
        print("nothing hangs\n")?;
    } else if people {
        print(&rescue::table(&found, now))?;
    }
    let outcomes = if args.yes { release_all(&cluster, &found, &image, &args).await? } else { Vec::new() };
    if !people {
        let found = rescue::found_as_json(&found, &outcomes);
        print(&(serde_json::to_string_pretty(&found)? + "\n"))?;
    } else if !args.yes && !found.is_empty() {
        print("\nNothing was changed. With --yes these pods are let go.\n")?;
    }
    let missing =
        outcomes.iter().flatten().any(|outcome| outcome.ended.is_none() && !outcome.missing.is_empty());
    let hanging = (0..found.len()).any(|index| {
        outcomes.get(index).and_then(Option::as_ref).is_none_or(|outcome| outcome.ended.is_none())
    });
    Ok(match (missing, hanging) {
        (true, _) => ExitCode::from(CANNOT),
        (false, true) => ExitCode::FAILURE,
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Lets go all that are not left, telling of each as it ends; what became of them, in the order they were found.
async fn release_all(
    cluster: &Cluster,
    found: &[Hanging],
    image: &str,
    args: &RescueArgs,
) -> anyhow::Result<Vec<Option<Outcome>>> {
    let taken: Vec<_> = found.iter().enumerate().filter(|(_, pod)| pod.left.is_none()).collect();
    let many = taken.len();
    let mut outcomes = vec![None; found.len()];
    let releases = taken.into_iter().map(async |(index, pod)| {
        (index, pod, rescue::release(cluster, pod, image, args.timeout.as_std()).await)
    });
    let mut ending = stream::iter(releases).buffer_unordered(AT_ONCE);
    let mut done = 0;
    while let Some((index, pod, outcome)) = ending.next().await {
        done += 1;
        let line = format!("{done}/{many} {}", rescue::line(pod, &outcome));
        match args.output {
            Output::Table => print(&(line + "\n"))?,
            Output::Json => report(&line),
        }
        outcomes[index] = Some(outcome);
    }
    Ok(outcomes)
}
