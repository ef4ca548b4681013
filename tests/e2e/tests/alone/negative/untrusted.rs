//! Certificates that an API server refuses, and a second installation: each beside the one under test, so that nothing of
//! that has to be broken.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use curfew::serve::{Answer, Config, Identity, Reviews, Server, Signals};
use curfew_certs::{Ca, Resolver};
use curfew_chart::{chart, helm};
use curfew_e2e::{Setup, Space, job};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Namespace};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::tried;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The webhook that is made up here.
const WEBHOOK: &str = "untrusted.curfew.dev";

/// Sees that a Job's pod is refused with these words, where this client configuration is in force for its namespace.
async fn refused(space: &Space, mut client: Value, ca: &Ca, why: &str) -> Result<()> {
    let name = format!("{}-untrusted", space.name());
    client["caBundle"] = json!(k8s_openapi::ByteString(ca.certificate().pem().into()));
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{"name": WEBHOOK, "clientConfig": client, "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name()}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]}],
    });
    space.apply(configuration).await?;
    let refused = async {
        // API servers take a moment to see it.
        space
            .until("it is in force", Duration::from_secs(30), async || {
                let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"},
                    "spec": {"containers": [{"name": "main", "image": "none"}]}});
                Ok(match tried(space, space.name(), pod).await {
                    Err(error) if error.to_string().contains(WEBHOOK) => Ok(()),
                    other => Err(other.map(drop)),
                })
            })
            .await?;
        space.apply(job("work", "true")).await?;
        space.refused("work", &[WEBHOOK, why]).await
    }
    .await;
    let all = Api::<MutatingWebhookConfiguration>::all(space.client());
    all.delete(&name, &Default::default()).await?;
    refused
}

#[tokio::test]
async fn a_job_is_told_of_a_ca_that_did_not_sign_what_is_served() -> Result<()> {
    Setup::new("wrong CA")
        .run(async |space| {
            let client = json!({"service": {"name": "curfew", "namespace": "curfew", "path": "/mutate"}});
            let other = Ca::generate(SystemTime::now(), DAY)?;
            refused(space, client, &other, "x509: certificate signed by unknown authority").await?;
            // And once that is mended:
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn a_job_is_told_of_an_expired_certificate() -> Result<()> {
    // Only where the API server reaches this machine's loopback: run.sh leaves it out elsewhere.
    Setup::new("expired")
        .run(async |space| {
            let ca = Ca::generate(SystemTime::now() - 2 * DAY, 30 * DAY)?;
            let leaf = ca.sign(&["127.0.0.1".parse()?], SystemTime::now() - 2 * DAY, DAY)?;
            let free = "127.0.0.1:0".parse()?;
            let config = Config { listen: free, admin_listen: free, ..Config::default() };
            let admit = |_: &[u8]| -> Answer { unreachable!("nobody gets past the handshake") };
            let identity = Identity::Given(Resolver::new(leaf.key));
            let server = Server::bind(config, Some(Reviews { identity, admit: Arc::new(admit) })).await?;
            let address = server.webhook_address().context("no address")?;
            let (_signals, received) = Signals::by_hand();
            let running = tokio::spawn(server.run(received));
            let client = json!({"url": format!("https://{address}/mutate")});
            let expired = "x509: certificate has expired or is not yet valid";
            let refused = refused(space, client, &ca, expired).await;
            running.abort();
            refused?;
            space.job_completes("work").await
        })
        .await
}

#[tokio::test]
async fn helm_refuses_a_second_curfew_and_the_first_stays_as_it_is() -> Result<()> {
    Setup::new("second")
        .run(async |space| {
            let all = Api::<MutatingWebhookConfiguration>::all(space.client());
            let before = all.get("00-curfew").await?.resource_version();
            let chart = chart().display().to_string();
            let second = helm(["install", "curfew", &chart, "--namespace", space.name()]);
            let Err(refused) = second else {
                helm(["uninstall", "curfew", "--namespace", space.name()])?;
                bail!("it was installed: {second:?}");
            };
            let said = refused.to_string();
            ensure!(said.contains("curfew") && said.contains("invalid ownership metadata"), "{said}");
            ensure!(all.get("00-curfew").await?.resource_version() == before, "the first one was changed");
            let left =
                Api::<k8s_openapi::api::apps::v1::Deployment>::namespaced(space.client(), space.name());
            ensure!(left.get_opt("curfew").await?.is_none(), "half of it is there");
            Api::<Namespace>::all(space.client()).get("curfew").await?;
            Ok(())
        })
        .await
}
