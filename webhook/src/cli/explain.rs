//! `curfew explain`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    check::Output,
    given::{self, BehaviourArgs, ClusterArgs},
    print, report,
};
use crate::explain::{self, Cluster, Explanation, Subject, Surroundings, Target};

/// There is no such object, no cluster, or a right is missing.
const CANNOT: u8 = 2;

/// Flags of `curfew explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// What to explain: pod/NAME, job/NAME or testrun/NAME
    #[arg(value_name = "KIND/NAME", required_unless_present = "file")]
    targets: Vec<Target>,
    /// File of YAML documents with pods, pod templates or TestRuns, not applied yet; `-` for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|-", conflicts_with = "targets")]
    file: Option<PathBuf>,
    /// Its namespace; the context's if not given
    #[arg(short, long)]
    namespace: Option<String>,
    /// How to tell it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    behaviour: BehaviourArgs,
}

/// Nothing hangs, or would: 0. Something does: 1. It could not be looked at: 2.
pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(explained(args)).and_then(|told| {
        match args.output {
            Output::Text => print(&explain::text(&told))?,
            Output::Json => print(&(serde_json::to_string_pretty(&explain::as_json(&told))? + "\n"))?,
        }
        let hangs = told.iter().any(Explanation::any_hangs);
        Ok(if hangs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    });
    Ok(result.unwrap_or_else(|error| {
        report(&format!("curfew explain: {error:#}"));
        ExitCode::from(CANNOT)
    }))
}

async fn explained(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let connected = args.cluster.connect().await;
    let Some(file) = &args.file else {
        let (cluster, own) = connected?;
        let config = args.behaviour.config(Some(&cluster.client())).await?;
        let cluster = Cluster::new(&cluster);
        let namespace = args.namespace.clone().unwrap_or(own);
        let around = cluster.surroundings(&namespace, config).await;
        let mut told = Vec::new();
        for target in &args.targets {
            told.push(cluster.explain(target, &namespace, &around).await?);
        }
        return Ok(told);
    };
    let subjects = read(file)?;
    let named = |subject: &Subject| args.namespace.clone().or_else(|| subject.namespace.clone());
    let mut told = Vec::new();
    match connected {
        Ok((cluster, own)) => {
            let config = args.behaviour.config(Some(&cluster.client())).await?;
            let cluster = Cluster::new(&cluster);
            // Looked at once for each namespace: a file may hold a hundred Jobs.
            let mut around = BTreeMap::new();
            for subject in subjects {
                let namespace = named(&subject).unwrap_or_else(|| own.clone());
                if !around.contains_key(&namespace) {
                    around.insert(namespace.clone(), cluster.surroundings(&namespace, config.clone()).await);
                }
                told.push(cluster.expect(&subject, &namespace, &around[&namespace]).await);
            }
        }
        Err(error) if args.cluster.is_named() => return Err(error),
        Err(_) => {
            let around = Surroundings::offline(args.behaviour.config(None).await?);
            told.extend(subjects.iter().map(|one| around.expect(one, &named(one).unwrap_or_default(), &[])));
        }
    }
    Ok(told)
}

fn read(file: &Path) -> anyhow::Result<Vec<Subject>> {
    let (name, text) = given::text(file)?;
    let subjects = explain::subjects(&name, &text)?;
    anyhow::ensure!(!subjects.is_empty(), "{name}: no pod, no pod template and no TestRun is in it");
    Ok(subjects)
}
