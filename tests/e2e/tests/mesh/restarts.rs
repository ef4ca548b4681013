//! Mains that are started again need their proxy again.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Strategy, job, pod_of, with};
use serde_json::{Value, json};

use crate::jobs::{CONNECT, all_ended};

under_each_strategy!(under_on_failure_a_second_attempt_finds_its_proxy_and_the_pod_ends,);

/// A Job whose main runs `first`, and `then` once it is started again.
pub(crate) fn twice(first: &str, then: &str) -> Value {
    let script = format!("if [ -e /state/second ]; then {then}; else touch /state/second; {first}; fi");
    with(job("work", &script), |job| {
        job["spec"]["backoffLimit"] = json!(3);
        let pod = pod_of(job);
        pod["restartPolicy"] = json!("OnFailure");
        pod["volumes"] = json!([{"name": "state", "emptyDir": {}}]);
        pod["containers"][0]["volumeMounts"] = json!([{"name": "state", "mountPath": "/state"}]);
    })
}

async fn under_on_failure_a_second_attempt_finds_its_proxy_and_the_pod_ends(
    strategy: Strategy,
) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("second attempt")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .run(async |space| {
                space.apply(twice(&format!("{CONNECT}; exit 1"), CONNECT)).await?;
                space.job_completes("work").await?;
                let ended = all_ended(space, "work").await?;
                let restarts = |name: &str| ended.iter().find(|c| c.name == name).map(|c| c.restarts);
                ensure!(restarts("main") == Some(1), "{ended:?}");
                ensure!(restarts(shape.proxy()) == Some(0), "{ended:?}");
                space.meshed(shape).await
            })
            .await?;
    }
    Ok(())
}
