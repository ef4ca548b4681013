//! Certificates: renewed, lost, broken, taken away, and no admission fails for it.

mod given;
pub(crate) mod stream;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use curfew_e2e::{
    Authority, Setup, Space,
    installed::{MINUTES, admitted, change, replicas, settled},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use stream::under_admissions;

#[tokio::test]
async fn another_ca_comes_when_it_is_asked_for_and_no_admission_fails() -> Result<()> {
    Setup::new("another CA")
        .curfew()
        .run(async |space| {
            under_admissions(space, async {
                let authority = Authority::at_rest(space).await?;
                let old = authority.field("ca.crt").await?;
                authority.ask_for_another().await?;
                let new = authority.replaced(&old).await?;
                let bundle = authority.bundle().await?;
                ensure!(
                    bundle.contains(&new) && bundle.contains(&old),
                    "the bundle lacks one of both: {bundle:?}"
                );
                ensure!(!authority.asks().await?, "it is still asked for");
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn three_cas_and_their_leaves_follow_each_other_and_no_admission_fails() -> Result<()> {
    Setup::new("three CAs")
        .curfew()
        .run(async |space| {
            let authority = Authority::at_rest(space).await?;
            let outcome = under_admissions(space, async {
                lives(
                    space,
                    json!([{"name": "CURFEW_CA_LIFE", "value": "2m"},
                    {"name": "CURFEW_LEAF_LIFE", "value": "30s"}]),
                )
                .await?;
                let mut active = authority.field("ca.crt").await?;
                for _ in 0..3 {
                    authority.ask_for_another().await?;
                    active = authority.replaced(&active).await?;
                }
                Ok(())
            })
            .await;
            // A CA of two minutes is followed by itself, but not before half of a usual hold is over: asked, it is.
            let back = under_admissions(space, async {
                lives(
                    space,
                    json!([{"name": "CURFEW_CA_LIFE", "$patch": "delete"},
                    {"name": "CURFEW_LEAF_LIFE", "$patch": "delete"}]),
                )
                .await?;
                let active = authority.field("ca.crt").await?;
                authority.ask_for_another().await?;
                authority.replaced(&active).await.map(drop)
            })
            .await;
            outcome.and(back)
        })
        .await
}

#[tokio::test]
async fn a_secret_that_is_deleted_or_corrupted_is_written_back_and_no_admission_fails() -> Result<()> {
    Setup::new("a lost Secret")
        .curfew()
        .run(async |space| {
            under_admissions(space, async {
                let authority = Authority::at_rest(space).await?;
                let before = authority.fields().await?;
                for _ in 0..2 {
                    let uid = authority.delete().await?;
                    authority.is_again(&before, Some(&uid)).await?;
                }
                authority.patch(json!({"data": {"ca.key": "Z2FyYmFnZQ=="}})).await?;
                authority.is_again(&before, None).await?;
                authority.patch(json!({"data": {"ca.crt": null}})).await?;
                authority.is_again(&before, None).await
            })
            .await
        })
        .await
}

#[tokio::test]
async fn a_secret_that_is_not_curfews_is_left_alone_and_the_log_says_what_to_do() -> Result<()> {
    Setup::new("a foreign Secret")
        .curfew()
        .run(async |space| {
            let authority = Authority::at_rest(space).await?;
            under_admissions(space, async {
                let label = |value: Value| json!({"metadata": {"labels": {"curfew.dev/authority": value}}});
                authority.patch(label(json!(null))).await?;
                let result = async {
                    let left = authority.version().await?;
                    for replica in replicas(space).await? {
                        space
                            .until("the log names the Secret and the mend", MINUTES, async || {
                                let api = Api::<Pod>::namespaced(space.client(), "curfew");
                                let log = api.logs(&replica, &Default::default()).await?;
                                let said = "Secret curfew/curfew-ca lacks the label curfew.dev/authority";
                                Ok(if log.contains(said) { Ok(()) } else { Err(log.lines().count()) })
                            })
                            .await?;
                    }
                    ensure!(authority.version().await? == left, "somebody wrote to it");
                    Ok(())
                }
                .await;
                authority.patch(label(json!("true"))).await?;
                result
            })
            .await
        })
        .await
}

#[tokio::test]
async fn a_bundle_that_is_taken_away_is_put_back() -> Result<()> {
    Setup::new("a blank bundle")
        .curfew()
        .run(async |space| {
            let authority = Authority::at_rest(space).await?;
            let before = authority.bundle().await?;
            ensure!(!before.is_empty(), "there is no bundle");
            for place in 0..2 {
                authority.blank(place).await?;
                space
                    .until("the bundle is back", MINUTES, async || {
                        let now = authority.bundles().await?;
                        Ok(if now.iter().all(|bundle| *bundle == before) { Ok(()) } else { Err(now) })
                    })
                    .await?;
            }
            space
                .until("pods are admitted again", MINUTES, async || {
                    Ok(admitted(space).await.map_err(|error| error.to_string()))
                })
                .await
        })
        .await
}

#[tokio::test]
async fn the_manifest_applied_again_leaves_the_bundle_as_it_is() -> Result<()> {
    Setup::new("applied again")
        .curfew()
        .run(async |space| {
            under_admissions(space, async {
                let authority = Authority::at_rest(space).await?;
                let before = authority.bundles().await?;
                let manifest =
                    concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/kustomize/base/webhook.yaml");
                for flags in [&[][..], &["--server-side", "--force-conflicts"]] {
                    let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
                    let output = Command::new(&kubectl).args(["apply", "-f", manifest]).args(flags).output();
                    let output = output.with_context(|| format!("cannot run {kubectl}"))?;
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    ensure!(output.status.success(), "{said}");
                    ensure!(authority.bundles().await? == before, "the bundle changed under {flags:?}");
                }
                Ok(())
            })
            .await
        })
        .await
}

#[tokio::test]
async fn a_replica_killed_between_two_cas_leaves_the_rest_to_the_other() -> Result<()> {
    Setup::new("killed between two CAs")
        .curfew()
        .run(async |space| {
            let authority = Authority::at_rest(space).await?;
            let old = authority.field("ca.crt").await?;
            authority.ask_for_another().await?;
            space
                .until("a successor is written", MINUTES, async || {
                    Ok(authority.fields().await?.get("next.crt").map(drop).ok_or("none"))
                })
                .await?;
            let victim = replicas(space).await?.into_iter().next().context("no replica")?;
            let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            Api::<Pod>::namespaced(space.client(), "curfew").delete(&victim, &at_once).await?;
            authority.replaced(&old).await?;
            settled(space, 2).await?;
            under_admissions(space, async { Ok(()) }).await
        })
        .await
}

/// Restarts Curfew with these variables.
async fn lives(space: &Space, env: Value) -> Result<()> {
    let containers = json!([{"name": "webhook", "env": env}]);
    change(space, json!({"template": {"spec": {"containers": containers}}})).await?;
    settled(space, 2).await
}
