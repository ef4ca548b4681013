//! Gated pods at a steady pace, made as a controller makes them: what is refused is tried again.

use std::time::{Duration, Instant};

use anyhow::Result;
use curfew_e2e::{Space, image};
use futures_util::{StreamExt, stream, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use tokio::time::{interval, sleep, timeout};

use crate::{
    away::{Answer, answer_to},
    tally::{Place, Tally},
};

/// What their names begin with.
pub(crate) const GENERATED: &str = "load-";
/// Until what was refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one try may take: the API server gives a webhook 5 s.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a pod is tried for.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at those that are there.
const SWEEP: Duration = Duration::from_secs(2);
/// How many are taken away at once.
const AT_ONCE: usize = 4;

/// Makes so many a second until it is over, and all those that were begun.
pub(crate) async fn stream(space: &Space, a_second: u32, tally: &Tally) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": GENERATED},
        "spec": {"restartPolicy": "Never", "schedulingGates": [{"name": "e2e.curfew.dev/never"}], "containers": [
            {"name": "main", "image": image("test-busybox"), "command": ["true"]},
            {"name": "linkerd-proxy", "image": image("test-busybox"), "command": ["true"]},
        ]},
    }))?;
    let mut config = Config::infer().await?;
    // It would hide what is counted here.
    config.default_retry = false;
    let api = Api::<Pod>::namespaced(Client::try_from(config)?, space.name());
    let mut pace = interval(Duration::from_secs(1) / a_second);
    let mut under_way = FuturesUnordered::new();
    while !tally.is_over() {
        tokio::select! {
            _ = pace.tick() => under_way.push(made(&api, &pod, tally)),
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
    Ok(())
}

/// Makes one, however often it takes.
async fn made(api: &Api<Pod>, pod: &Pod, tally: &Tally) {
    let (place, start) = (tally.now(), Instant::now());
    tally.count(place, |part| part.pods.wanted += 1);
    while start.elapsed() < PATIENCE {
        match answer_to(timeout(ANSWER, api.create(&Default::default(), pod)).await) {
            Answer::Done(pod) => {
                tally.count(place, |part| {
                    part.pods.made += 1;
                    part.pods.longest = part.pods.longest.max(start.elapsed());
                });
                seen(&pod, place, tally);
                return;
            }
            Answer::Refused(why) => {
                tally.count(place, |part| *part.pods.refused.entry(why).or_default() += 1);
            }
            Answer::Away => {
                tally.count(place, |part| part.pods.unanswered += 1);
            }
        }
        sleep(AGAIN).await;
    }
}

/// Notes one that Curfew was not asked about.
fn seen(pod: &Pod, place: Place, tally: &Tally) {
    if !pod.labels().contains_key("curfew.dev/applied") {
        tally.count(place, |part| part.pods.unpatched.insert(pod.name_any()));
    }
}

/// Looks at all that are there, and takes them away, until it is over: also at those of which the API server could not tell
/// any more that it made them.
pub(crate) async fn swept(space: &Space, tally: &Tally) -> Result<()> {
    let mut pace = interval(SWEEP);
    loop {
        pace.tick().await;
        let over = tally.is_over();
        let there = match answer_to(Ok(space.api::<Pod>().list(&ListParams::default()).await)) {
            Answer::Done(list) => list.items,
            Answer::Refused(why) => anyhow::bail!("pods cannot be listed: {why}"),
            Answer::Away => continue,
        };
        for pod in &there {
            seen(pod, tally.now(), tally);
        }
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        stream::iter(&there)
            .for_each_concurrent(AT_ONCE, async |pod| {
                // One that stays is seen again.
                let _gone = space.api::<Pod>().delete(&pod.name_any(), &now).await;
            })
            .await;
        if over && there.is_empty() {
            return Ok(());
        }
    }
}
