//! What several commands are given alike: a cluster, a configuration file, a file of documents.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use kube::Client;

use super::report;
use crate::{
    check::{self, Unseen},
    config::Config,
    rescue::Cluster,
};

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

/// Flags that say which rows and defaults pods are judged by.
#[derive(Debug, clap::Args)]
pub(super) struct BehaviourArgs {
    /// Configuration file, as the webhook's; that of the Curfew on the cluster if not given
    #[arg(long, value_name = "FILE", env = "CURFEW_CONFIG")]
    config: Option<PathBuf>,
    /// Curfew's own namespace, where its configuration is looked up
    #[arg(long, value_name = "NAMESPACE", default_value = "curfew")]
    curfew_namespace: String,
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

// === impl BehaviourArgs ===

impl BehaviourArgs {
    /// The file's configuration, or else that of the Curfew on this cluster. Where it cannot be read the built-in one
    /// serves, which standard error tells.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold.
    pub(super) async fn config(&self, cluster: Option<&Client>) -> anyhow::Result<Config> {
        let (config, note) = self.read(cluster).await?;
        note.iter().for_each(|note| report(note));
        Ok(config)
    }

    /// The same, and what is to be told.
    async fn read(&self, cluster: Option<&Client>) -> anyhow::Result<(Config, Option<String>)> {
        let Self { config: file, curfew_namespace } = self;
        if file.is_some() {
            return Ok((config(file.as_deref())?, None));
        }
        let found = match cluster {
            Some(client) => check::behaviour(client, curfew_namespace).await,
            None => Err(Unseen("there is no cluster".to_owned())),
        };
        Ok(match found {
            Ok(config) => (config, None),
            Err(why) => {
                let note = format!(
                    "note: only the built-in rows and defaults are known here, as no Curfew's configuration was read: {why}; \
                     --curfew-namespace or --config says where it is"
                );
                (config(None)?, Some(note))
            }
        })
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

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::watch::mock;

    fn args(config: Option<&Path>) -> BehaviourArgs {
        BehaviourArgs { config: config.map(Path::to_owned), curfew_namespace: "ops".to_owned() }
    }

    #[tokio::test]
    async fn a_file_is_what_counts_and_no_cluster_is_asked() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(&file, "watch: false").expect("writes");
        let (client, _server) = mock::client();
        let (config, note) = args(Some(file.path())).read(Some(&client)).await.expect("valid");
        assert!(!config.settings.watch && note.is_none());
    }

    #[tokio::test]
    async fn without_a_file_the_installed_one_counts() {
        let container = json!({"name": "webhook", "args": ["serve", "--config=/etc/curfew/config.yaml"],
            "volumeMounts": [{"name": "config", "mountPath": "/etc/curfew"}]});
        let volumes = json!([{"name": "config", "configMap": {"name": "own"}}]);
        let deployment = json!({"metadata": {"name": "curfew"}, "spec": {"selector": {},
            "template": {"spec": {"containers": [container], "volumes": volumes}}}});
        let map = json!({"metadata": {}, "data": {"config.yaml": "watch: false"}});
        let (client, server) = mock::client();
        let answers = [
            (
                "/apis/apps/v1/namespaces/ops/deployments",
                StatusCode::OK,
                json!({"metadata": {}, "items": [deployment]}),
            ),
            ("/api/v1/namespaces/ops/configmaps/own", StatusCode::OK, map),
        ];
        let args = args(None);
        let (read, _server) = tokio::join!(args.read(Some(&client)), mock::answer(server, answers));
        let (config, note) = read.expect("valid");
        assert!(!config.settings.watch && note.is_none(), "{note:?}");
    }

    #[tokio::test]
    async fn where_none_can_be_read_that_is_told_and_the_built_in_one_serves() {
        let (client, server) = mock::client();
        let none = json!({"metadata": {}, "items": []});
        let answers = [("/apis/apps/v1/namespaces/ops/deployments", StatusCode::OK, none)];
        let args = args(None);
        let (read, _server) = tokio::join!(args.read(Some(&client)), mock::answer(server, answers));
        let (config, note) = read.expect("valid");
        assert_eq!(config, Config::builtin().expect("rows"));
        assert!(note.is_some_and(|note| note.contains("namespace ops has no Deployment of Curfew")));
        let (_, note) = args.read(None).await.expect("valid");
        assert!(note.is_some_and(|note| note.contains("there is no cluster")));
    }
}
