//! Sidecars beside the mesh's, and more than one.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Strategy, image, job, pod_of, with};
use serde_json::{Value, json};

use crate::jobs::{CONNECT, all_ended};

under_each_strategy!(a_sidecar_described_in_an_annotation_is_told_to_go, two_sidecars_are_both_told_to_go,);

/// The Job with a sidecar its owner wrote and described to Curfew: a proxy that never ends by itself.
pub(crate) fn by_hand(job: Value) -> Value {
    with(job, |job| {
        let row = "- name: helper\n  containers: [helper]\n  ready: http://127.0.0.1:9901/ready\n  \
                   shutdown: {url: 'http://127.0.0.1:9901/quitquitquit'}\n  native: {}\n";
        job["spec"]["template"]["metadata"] = json!({"annotations": {"curfew.dev/sidecars": row}});
        let helper = json!({"name": "helper", "image": image("test-standin"), "args": ["--shape=envoy"]});
        if let Some(containers) = pod_of(job)["containers"].as_array_mut() {
            containers.push(helper);
        }
    })
}

async fn a_sidecar_described_in_an_annotation_is_told_to_go(strategy: Strategy) -> Result<()> {
    Setup::new("own sidecar")
        .curfew()
        .under(strategy)
        .run(async |space| {
            space.apply(by_hand(job("work", "true"))).await?;
            space.job_completes("work").await
        })
        .await
}

async fn two_sidecars_are_both_told_to_go(strategy: Strategy) -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("two sidecars")
            .curfew()
            .under(strategy)
            .mesh(shape)
            .run(async |space| {
                space.apply(by_hand(job("work", CONNECT))).await?;
                space.job_completes("work").await?;
                let ended = all_ended(space, "work").await?;
                for name in ["helper", shape.proxy()] {
                    ensure!(ended.iter().any(|c| c.name == name && c.exit == Some(0)), "{ended:?}");
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}
