//! `curfew policy`.

use std::{path::PathBuf, process::ExitCode};

use super::print;
use crate::{config::Config, policy};

/// Flags of `curfew policy`.
#[derive(Debug, clap::Args)]
pub(super) struct PolicyArgs {
    /// Configuration file, whose rows and default strategy hold
    #[arg(long, value_name = "FILE", env = "CURFEW_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &PolicyArgs) -> anyhow::Result<ExitCode> {
    let PolicyArgs { config } = args;
    let config = match config {
        Some(path) => Config::load(path)?,
        None => Config::builtin()?,
    };
    print(&policy::manifest(&config))?;
    Ok(ExitCode::SUCCESS)
}
