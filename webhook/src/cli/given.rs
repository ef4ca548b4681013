//! What several commands are given alike: a cluster, a configuration file, a file of documents.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{config::Config, rescue::Cluster};

/// Flags that say which cluster.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    /// Context of the kubeconfig
    #[arg(long)]
    context: Option<String>,
    /// Kubeconfig file
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

// === impl ClusterArgs ===

impl ClusterArgs {
    /// The cluster, and the namespace of the context.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub(super) async fn connect(&self) -> anyhow::Result<(Cluster, String)> {
        Cluster::connect(self.kubeconfig.as_deref(), self.context.as_deref()).await
    }

    /// Whether the user named one.
    pub(super) fn is_named(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }
}

/// The configuration in this file, or the built-in one.
///
/// # Errors
/// The file cannot be read, or does not hold.
pub(super) fn config(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(match file {
        Some(path) => Config::load(path)?,
        None => Config::builtin()?,
    })
}

/// A file's name and text; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is no UTF-8.
pub(super) fn text(file: &Path) -> anyhow::Result<(String, String)> {
    let name = file.display().to_string();
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        fs::read_to_string(file).with_context(|| name.clone())?
    };
    Ok((name, text))
}
