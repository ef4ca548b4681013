//! `curfew inject`.

use std::{path::PathBuf, process::ExitCode};

use super::{given, print, report};
use crate::{
    admission::{Engine, Outcome, Surroundings},
    inject::{Report, inject},
    plan::{Kubelets, Namespace, Version, Wish},
};

/// Flags of `curfew inject`.
#[derive(Debug, clap::Args)]
pub(super) struct InjectArgs {
    /// File of YAML documents (pods, pod templates, Lists, anything else); `-` for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE|-")]
    file: PathBuf,
    /// Print what changes instead of the result
    #[arg(long)]
    diff: bool,
    /// Strategy for all pods, whatever their annotations say: auto, switch, native, await, reaper, off
    #[arg(long)]
    strategy: Option<Wish>,
    /// Oldest kubelet of the cluster the pods go to, as in 1.33.6; where absent, nodes.oldestKubelet of the
    /// configuration, or not known
    #[arg(long, value_name = "VERSION")]
    kubelet: Option<Version>,
    /// Curfew's watch runs on that cluster: it is what `reaper`, and the net beside `await`, are told by
    #[arg(long)]
    watch: bool,
    /// Configuration file, as the webhook's
    #[arg(long, value_name = "FILE", env = "CURFEW_CONFIG")]
    config: Option<PathBuf>,
    /// Say nothing about what was decided on standard error
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: InjectArgs) -> anyhow::Result<ExitCode> {
    let InjectArgs { file, diff, strategy, kubelet, watch, config, quiet } = args;
    let config = given::config(config.as_deref())?;
    let (name, text) = given::text(&file)?;
    let kubelets = match kubelet {
        Some(oldest) => Kubelets::none_older("--kubelet allows", oldest),
        None => config.settings.nodes.kubelets_unseen(),
    };
    let around = Surroundings { namespace: &Namespace::default(), kubelets: &kubelets, watch };
    let injected = inject(&Engine::of_files(config), &name, &text, around, strategy)?;
    if !quiet {
        injected.reports.iter().flat_map(|report| lines(&name, report)).for_each(|line| report(&line));
    }
    print(if diff { &injected.diff } else { &injected.text })?;
    let failed = injected.reports.iter().any(|report| matches!(report.outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What to tell about one pod: the decision, then each warning.
fn lines(file: &str, Report { document, object, outcome }: &Report) -> Vec<String> {
    let head = format!("{file}: document {document}, {object}");
    match outcome {
        Outcome::Untouched(reason) => vec![format!("{head}: untouched: {reason}")],
        Outcome::Failed(reason) => vec![format!("{head}: unchanged: {reason}")],
        Outcome::Planned { plan, .. } => {
            let decision = format!("{head}: {}: {}", plan.strategy.name(), plan.reason);
            let warnings = plan.warnings.iter().map(|warning| format!("{head}: warning: {warning}"));
            std::iter::once(decision).chain(warnings).collect()
        }
    }
}
