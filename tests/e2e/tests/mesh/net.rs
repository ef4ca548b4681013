//! The reaper as a net beside `await`: for a wrapper that is killed together with its main and can tell nobody.

use anyhow::{Result, ensure};
use curfew_e2e::{Setup, Shape, Strategy, beside, ended, image, job, pod_of, with};
use serde_json::json;

use crate::jobs::{CONNECT, all_ended};

/// Kills the main and its wrapper at one stroke, from another container of the pod: what the kernel does where memory
/// runs out and `memory.oom.group` is set.
const KILLER: &str = "until main=$(pidof sleep); do usleep 100000; done; \
    wrapper=$(cut -d ' ' -f 4 /proc/$main/stat); kill -9 $wrapper $main; ";

/// Both mains are wrapped; the first can't say how it ended, the second ends well.
fn killed() -> serde_json::Value {
    let killer = json!({"name": "killer", "image": image("test-busybox"), "command": ["sh", "-c", KILLER]});
    with(beside(job("work", "exec sleep 1000"), killer), |job| {
        pod_of(job)["shareProcessNamespace"] = json!(true);
    })
}

#[tokio::test]
async fn a_main_killed_together_with_its_wrapper_ends_its_pod() -> Result<()> {
    for shape in Shape::ALL {
        Setup::new("killed together")
            .curfew()
            .under(Strategy::Await)
            .mesh(shape)
            .run(async |space| {
                space.apply(killed()).await?;
                space.job_fails("work").await?;
                let ended = all_ended(space, "work").await?;
                ensure!(ended.iter().any(|c| c.name == "main" && c.exit == Some(137)), "{ended:?}");
                for name in [shape.proxy(), "curfew-reaper"] {
                    ensure!(ended.iter().any(|c| c.name == name && c.exit == Some(0)), "{ended:?}");
                }
                space.meshed(shape).await
            })
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_the_net_such_a_pod_hangs() -> Result<()> {
    Setup::new("killed without net")
        .curfew()
        .under(Strategy::Await)
        .annotation("curfew.dev/net", "off")
        .mesh(Shape::Linkerd)
        .run(async |space| {
            space.apply(killed()).await?;
            space.hangs("work").await
        })
        .await
}

#[tokio::test]
async fn with_and_without_its_net_a_wrapper_ends_its_pod() -> Result<()> {
    for net in ["on", "off"] {
        Setup::new(&format!("net {net}"))
            .curfew()
            .under(Strategy::Await)
            .annotation("curfew.dev/net", net)
            .mesh(Shape::Linkerd)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                let pod = space.pods_of("work").await?.remove(0);
                let there = ended(&pod, "curfew-reaper").is_some();
                ensure!(there == (net == "on"), "net {net}, but the reaper's end is {there}");
                space.meshed(Shape::Linkerd).await
            })
            .await?;
    }
    Ok(())
}
