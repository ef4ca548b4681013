//! The behaviour of the Curfew that is installed, for commands that judge pods as it does.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{Api, Client};

use super::{Seen, Unseen, gather, settings};
use crate::config::Config;

/// The configuration of the Curfew in this namespace, as far as whoever asks may read it.
///
/// # Errors
/// There is no Curfew, its configuration may not be read, or it does not hold: which of these.
pub async fn behaviour(client: &Client, own: &str) -> Seen<Config> {
    let api = Api::<Deployment>::namespaced(client.clone(), own);
    let all = gather::list(api, &gather::of_curfew(), "list deployments", Some(own)).await?;
    let deployment =
        all.first().ok_or_else(|| Unseen(format!("namespace {own} has no Deployment of Curfew")))?;
    if settings::file(deployment).is_none() {
        return Config::builtin().map_err(|error| Unseen(error.to_string()));
    }
    let source = settings::source(deployment)
        .ok_or_else(|| Unseen("its Deployment mounts it from no ConfigMap".to_owned()))?;
    let map: Option<ConfigMap> = gather::get(client, own, &source.name, "get configmaps").await?;
    let map = map.ok_or_else(|| Unseen(format!("ConfigMap {} is not there", source.name)))?;
    settings::parse(&map, &source).map_err(Unseen)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        check::tests::deployment,
        watch::mock::{answer, client},
    };

    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/curfew/deployments";
    const MAP: &str = "/api/v1/namespaces/curfew/configmaps/curfew";

    async fn read(answers: Vec<(&str, StatusCode, Value)>) -> Seen<Config> {
        let (client, server) = client();
        tokio::join!(behaviour(&client, "curfew"), answer(server, answers)).0
    }

    fn deployments(items: &[Deployment]) -> (&'static str, StatusCode, Value) {
        (DEPLOYMENTS, StatusCode::OK, json!({"metadata": {}, "items": items}))
    }

    fn map(text: &str) -> (&'static str, StatusCode, Value) {
        (MAP, StatusCode::OK, json!({"metadata": {"name": "curfew"}, "data": {"config.yaml": text}}))
    }

    #[tokio::test]
    async fn a_row_that_was_added_at_installation_is_known() {
        let row = "catalogue: {sidecars: [{name: helper, containers: [helper]}]}";
        let config = read(vec![deployments(&[deployment("curfew", 2)]), map(row)]).await.expect("readable");
        assert!(config.catalogue.sidecars.iter().any(|row| row.name == "helper"));
    }

    #[tokio::test]
    async fn one_that_is_given_none_goes_by_the_built_in_one() {
        let bare = crate::check::tests::running("curfew", &["serve"]);
        assert_eq!(read(vec![deployments(&[bare])]).await, Ok(Config::builtin().expect("rows")));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_by_what_is_missing() {
        let no = |path| {
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                              "reason": "Forbidden", "message": "no", "code": 403});
            (path, StatusCode::FORBIDDEN, body)
        };
        let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                          "reason": "NotFound", "message": "no", "code": 404});
        let there = || deployments(&[deployment("curfew", 2)]);
        for (answers, word) in [
            (vec![no(DEPLOYMENTS)], "list deployments in namespace curfew"),
            (vec![deployments(&[])], "namespace curfew has no Deployment"),
            (vec![there(), no(MAP)], "get configmaps in namespace curfew"),
            (vec![there(), (MAP, StatusCode::NOT_FOUND, gone)], "ConfigMap curfew is not there"),
            (vec![there(), map("defaults: {strategy: soon}")], "ConfigMap curfew, config.yaml"),
        ] {
            let Unseen(why) = read(answers).await.expect_err(word);
            assert!(why.contains(word), "{why}");
        }
    }
}
