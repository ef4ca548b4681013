//! `curfew check`.

use std::process::ExitCode;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, api::ListParams};

use super::{given::ClusterArgs, print, report};
use crate::check::{self, Finding, Severity, Unseen};

/// There is no cluster, or nothing of it that matters may be looked at.
const CANNOT: u8 = 2;

/// Flags of `curfew check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Curfew's own namespace
    #[arg(short, long, default_value = "curfew")]
    namespace: String,
    /// Look only whether Curfew may be uninstalled: which pods still carry a reaper
    #[arg(long)]
    uninstall: bool,
    /// How to tell what was found
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How to tell what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// One document.
    Json,
}

/// Nothing fails: 0. Something does: 1. It could not be looked at: 2.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(check(args)).unwrap_or_else(|error| {
        report(&format!("curfew check: {error:#}"));
        ExitCode::from(CANNOT)
    }))
}

async fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (cluster, fallback) = args.cluster.connect().await?;
    let client = cluster.client();
    let own = &args.namespace;
    let (findings, blind) = if args.uninstall {
        let pods = check::carrying(&client).await;
        let all = Api::<MutatingWebhookConfiguration>::all(client.clone()).list(&ListParams::default()).await;
        let all = all.map(|list| list.items).map_err(|error| Unseen(error.to_string()));
        (check::uninstall(&pods, &all, own), pods.is_err())
    } else {
        let facts = check::gather(&client, own, &fallback).await?;
        (check::judge(&facts), facts.is_blind())
    };
    match args.output {
        Output::Text => print(&check::text(&findings))?,
        Output::Json => print(&(serde_json::to_string_pretty(&check::as_json(&findings))? + "\n"))?,
    }
    let fails = findings.iter().any(|Finding { severity, .. }| *severity == Severity::Fail);
    Ok(match (fails, blind) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(CANNOT),
        (false, false) => ExitCode::SUCCESS,
    })
}
