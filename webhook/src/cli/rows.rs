//! `curfew catalogue`.

use std::{path::PathBuf, process::ExitCode};

use super::{given, print};
use crate::catalogue::Rows;

/// Flags of `curfew catalogue`.
#[derive(Debug, clap::Args)]
pub(super) struct CatalogueArgs {
    /// Print the JSON schema of rows instead
    #[arg(long)]
    schema: bool,
    /// Configuration file, whose rows are added
    #[arg(long, value_name = "FILE", env = "CURFEW_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &CatalogueArgs) -> anyhow::Result<ExitCode> {
    let CatalogueArgs { schema, config } = args;
    if *schema {
        let schema = schemars::schema_for!(Rows);
        print(&(serde_json::to_string_pretty(&schema)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = given::config(config.as_deref())?;
    print(&serde_saphyr::to_string(&config.catalogue)?)?;
    Ok(ExitCode::SUCCESS)
}
