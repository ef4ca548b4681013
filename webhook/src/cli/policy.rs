//! `curfew policy`.

use std::{path::PathBuf, process::ExitCode};

use super::{given, print};
use crate::policy;

/// Flags of `curfew policy`.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    /// Configuration file, whose rows and default strategy hold
    #[arg(long, value_name = "FILE", env = "CURFEW_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &PolicyArgs) -> anyhow::Result<ExitCode> {
    let PolicyArgs { config } = args;
    let config = given::config(config.as_deref())?;
    print(&policy::manifest(&config))?;
    Ok(ExitCode::SUCCESS)
}
