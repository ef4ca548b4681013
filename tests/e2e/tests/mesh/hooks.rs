//! Hooks of other people that misbehave beside Curfew: the pod ends as it should or is refused with a reason, and never
//! waits in silence.

use anyhow::Result;
use curfew_e2e::{Injector, Setup, Shape, Space, Strategy, job, pod_of, with};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{jobs::CONNECT, restarts::twice, sidecars::by_hand};

/// What the API server says of an init container that was a native sidecar.
const STRIPPED: &str = "Forbidden: may not be set for init containers without restartPolicy=Always";

/// A hook that takes `restartPolicy` out of containers, asked last of all, and again or not as `policy` says.
fn stripped(title: &str, policy: &str) -> Setup {
    Setup::new(&format!("{title} {policy}")).curfew().label("mesh.test/strip", policy)
}

/// A Job's pod is, and the reason says where in it.
async fn refused_by_the_field(space: &Space) -> Result<()> {
    space.apply(job("work", CONNECT)).await?;
    space.refused("work", &["spec.initContainers[", STRIPPED]).await
}

/// Injectors and shapes, each with each.
fn each() -> impl Iterator<Item = (Injector, Shape)> {
    Injector::ALL.into_iter().flat_map(|injector| Shape::ALL.map(|shape| (injector, shape)))
}

#[tokio::test]
async fn what_a_hook_takes_away_once_curfew_puts_back() -> Result<()> {
    try_join_all(each().map(|(injector, shape)| async move {
        stripped("strip", "never")
            .injected(shape, injector)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                space.meshed(shape).await
            })
            .await
    }))
    .await?;
    Ok(())
}

#[tokio::test]
async fn what_a_hook_takes_from_a_sidecar_that_the_mesh_made_native_is_refused_and_the_field_named()
-> Result<()> {
    for shape in Shape::ALL {
        stripped("strip switched", "never")
            .mesh(shape)
            .option("native-capable", "true")
            .run(refused_by_the_field)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_from_which_a_hook_takes_it_each_time_is_refused_and_the_field_named() -> Result<()> {
    try_join_all(each().map(|(injector, shape)| async move {
        stripped("strip", "ifneeded").injected(shape, injector).run(refused_by_the_field).await
    }))
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_sidecar_without_probes_is_refused_too_for_curfew_left_a_mark_on_it() -> Result<()> {
    stripped("strip by hand", "ifneeded")
        .run(async |space| {
            space.apply(by_hand(job("work", "true"))).await?;
            space.refused("work", &["].lifecycle", STRIPPED]).await
        })
        .await
}

#[tokio::test]
async fn a_wrapped_pod_has_nothing_such_a_hook_could_take() -> Result<()> {
    try_join_all(each().map(|(injector, shape)| async move {
        stripped("strip await", "ifneeded")
            .under(Strategy::Await)
            .injected(shape, injector)
            .run(async |space| {
                space.apply(job("work", CONNECT)).await?;
                space.job_completes("work").await?;
                space.meshed(shape).await
            })
            .await
    }))
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_main_that_lost_its_own_restart_policy_finds_its_proxy_at_its_second_attempt() -> Result<()> {
    for policy in ["never", "ifneeded"] {
        stripped("strip main", policy)
            .under(Strategy::Await)
            .mesh(Shape::Linkerd)
            .run(async |space| {
                // With it, the first attempt would have been the last, and the proxy told to go.
                let work = with(twice(&format!("{CONNECT}; exit 1"), CONNECT), |job| {
                    pod_of(job)["containers"][0]["restartPolicy"] = json!("Never");
                });
                space.apply(work).await?;
                space.job_completes("work").await?;
                space.meshed(Shape::Linkerd).await
            })
            .await?;
    }
    Ok(())
}

/// An injector that looks for its proxy in `containers` alone, and is asked again.
fn forgetful(title: &str, shape: Shape, when: &str) -> Setup {
    Setup::new(title).curfew().mesh(shape).label("mesh.test/inject", when)
}

#[tokio::test]
async fn a_second_proxy_of_an_injector_that_does_not_find_its_first_is_refused_by_name() -> Result<()> {
    for when in ["before-re-add", "after-re-add"] {
        for shape in Shape::ALL {
            forgetful(when, shape, when)
                .run(async |space| {
                    space.apply(job("work", CONNECT)).await?;
                    let twice = format!("Duplicate value: \"{}\"", shape.proxy());
                    space.refused("work", &["].name", &twice]).await
                })
                .await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn beside_such_an_injector_a_job_that_names_await_completes() -> Result<()> {
    for when in ["before-re-add", "after-re-add"] {
        for shape in Shape::ALL {
            forgetful(&format!("await {when}"), shape, when)
                .under(Strategy::Await)
                .run(async |space| {
                    space.apply(job("work", CONNECT)).await?;
                    space.job_completes("work").await?;
                    space.meshed(shape).await
                })
                .await?;
        }
    }
    Ok(())
}
