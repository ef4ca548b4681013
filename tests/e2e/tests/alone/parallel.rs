//! A load test as large as one small machine can hold.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, testrun, with};
use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

#[tokio::test]
async fn eighteen_runners_with_a_proxy_each_finish() -> Result<()> {
    Setup::new("eighteen runners")
        .curfew()
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.sample("scripts").await?;
            let eighteen = with(testrun("eighteen"), |testrun| {
                testrun["spec"] = json!({"parallelism": 18, "arguments": "--vus 18 --duration 3s",
                    "script": {"configMap": {"name": "k6-scripts", "file": "test.js"}}});
            });
            space.apply(eighteen).await?;
            space.stage("eighteen", "finished").await?;
            let runners = space.api::<Job>().list(&ListParams::default().labels("runner=true")).await?.items;
            ensure!(runners.len() == 18, "{} runners", runners.len());
            for runner in runners {
                space.job_completes(&runner.name_any()).await?;
            }
            Ok(())
        })
        .await
}
