//! A sidecar that stays although its pod's work is done: whoever looks at the pod is told, and so is whoever looks at the
//! metrics. Alone, as others would be counted too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Space, Strategy, beside, ended, image, installed::settled, vendor_job, with};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;

use crate::metrics::counted;

/// The watch waits for a minute, and its second replica for two seconds more.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the second replica gets to say it once more.
const TWICE: Duration = Duration::from_secs(10);

/// As each replica counts the pods that are stuck for what their sidecar answered.
async fn stuck(space: &Space) -> Result<Vec<f64>> {
    let of_all = counted(space, "curfew_stuck_pods{").await?;
    let these = |name: &str| name.contains("strategy=\"reaper\"") && name.contains("reason=\"endpoint\"");
    Ok(of_all.into_iter().filter(|(name, _)| these(name)).map(|(_, count)| count).collect())
}

/// Waits until two replicas count so many.
async fn both_count(space: &Space, pods: f64) -> Result<()> {
    space
        .until(&format!("both replicas count {pods} stuck pods"), PATIENCE, async || {
            let found = stuck(space).await?;
            Ok(if found == [pods, pods] { Ok(()) } else { Err(found) })
        })
        .await
}

/// What was said of the pod for this reason.
async fn said(space: &Space, pod: &str) -> Result<Vec<Event>> {
    let of_it = format!("involvedObject.name={pod},reason=SidecarStuck");
    Ok(space.api::<Event>().list(&ListParams::default().fields(&of_it)).await?.items)
}

#[tokio::test]
async fn a_sidecar_that_refuses_to_go_is_said_once_and_counted_until_it_is_gone() -> Result<()> {
    // The stand-in has no such path: it answers 404, and runs on.
    let row = "- name: helper\n  containers: [helper]\n  ready: http://127.0.0.1:9901/ready\n  \
               shutdown: {url: 'http://127.0.0.1:9901/no-such-path'}\n";
    Setup::new("sidecar stuck")
        .curfew()
        .under(Strategy::Reaper)
        .run(async |space| {
            settled(space, 2).await?;
            ensure!(stuck(space).await?.iter().all(|pods| *pods == 0.0), "others are stuck already");
            let work = with(vendor_job("work", "sleep 2"), |job| {
                job["spec"]["template"]["metadata"] = json!({"annotations": {"curfew.dev/sidecars": row}});
            });
            let helper = json!({"name": "helper", "image": image("test-standin"), "args": ["--shape=envoy"]});
            space.apply(beside(work, helper)).await?;
            let told = |pod: &Pod| ended(pod, "curfew-reaper").is_some();
            let pod =
                space.pod_until("work", "has done its work, and its reaper its own", told).await?.name_any();
            space.applied("work", "reaper").await?;

            let event = space
                .until("it is said that the pod is stuck", PATIENCE, async || {
                    Ok(said(space, &pod).await?.pop().ok_or("nothing was said"))
                })
                .await?;
            let message = event.message.context("an event without a message")?;
            for part in ["sidecar helper (helper)", "strategy reaper", "answered 404"] {
                ensure!(message.contains(part), "no {part:?} in {message:?}");
            }
            both_count(space, 1.0).await?;
            space
                .holds("it is said once, whichever replica says it", TWICE, async || {
                    let events = said(space, &pod).await?;
                    Ok(matches!(&events[..], [one] if one.count == Some(1)))
                })
                .await?;

            space.delete::<Job>("work", &DeleteParams::background()).await?;
            both_count(space, 0.0).await
        })
        .await
}
