//! How long a Job takes from its main's exit to Complete: without a mesh, with the mesh's proxy as a native sidecar, under
//! await without and with its net, and by the reaper. One Job of each in every round, so that the machine's moods fall on
//! all of them; they end one after another, so that none waits for another's end.
//!
//! The main's last act is to write the machine's uptime into its termination message; the same clock is read when the
//! watch tells of the Complete condition. So the cluster has to be on this machine.
#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

#[path = "bench-cluster/steps.rs"]
mod steps;

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use curfew_e2e::{Setup, Shape, Space, Strategy, ended, image, job, pod_of};
use curfew_tests::{
    report::{Goal, Section, Table},
    stats::Sample,
};
use futures_util::{TryStreamExt, future::try_join_all, pin_mut};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

/// Benchmark of the end of a Job.
#[derive(Parser)]
struct Args {
    /// Jobs of each variant.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Markdown file to write the section `bench:cluster` into.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md"))]
    out: PathBuf,
}

/// Variants, in the order of their spaces.
const VARIANTS: [&str; 5] =
    ["unmeshed", "native sidecar by hand", "await, without its net", "await, with its net", "reaper"];
const UNMESHED: usize = 0;
const NATIVE: usize = 1;
const AWAIT: usize = 2;
const NET: usize = 3;
const REAPER: usize = 4;
/// What await may add at p50.
const GOAL: Duration = Duration::from_millis(200);
/// What the reaper may.
const REAPER_GOAL: Duration = Duration::from_millis(1500);
/// What a Job may take in all.
const PATIENCE: Duration = Duration::from_secs(120);
/// From one end within a round to the next: a Job is Complete by then, mostly.
const APART: f64 = 3.0;

/// The work: long enough that a round's proxies are up and the machine is calm again, and never as long as in the round
/// before. The kubelet looks once a second, and each variant is to end at every moment in between. Who ends last does so
/// first in the next round.
fn work(variant: usize, round: usize) -> String {
    // Multiples of the golden ratio fill the second evenly, however many there are.
    let part = (round as f64 * 0.618_034).fract();
    let turn = (variant + round) % VARIANTS.len();
    format!("sleep {:.2}; cat /proc/uptime >/dev/termination-log", 3.0 + turn as f64 * APART + part)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Args { rounds, out } = Args::parse();
    let meshed = |title: &str, strategy| Setup::new(title).curfew().under(strategy).mesh(Shape::Linkerd);
    let setups = vec![
        Setup::new("bench unmeshed"),
        Setup::new("bench native"),
        meshed("bench await", Strategy::Await).annotation("curfew.dev/net", "off"),
        meshed("bench net", Strategy::Await).annotation("curfew.dev/net", "on"),
        meshed("bench reaper", Strategy::Reaper),
    ];
    within(setups.into_iter(), Vec::new(), rounds, &out).await
}

/// Measures in all of these namespaces, one made within the other: each goes when the measuring is over.
fn within<'a>(
    mut setups: std::vec::IntoIter<Setup>,
    spaces: Vec<&'a Space>,
    rounds: usize,
    out: &'a Path,
) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>> {
    Box::pin(async move {
        let Some(setup) = setups.next() else { return measure(&spaces, rounds, out).await };
        setup
            .run(async move |space| {
                let spaces = spaces.into_iter().chain([space]).collect();
                within(setups, spaces, rounds, out).await
            })
            .await
    })
}

async fn measure(spaces: &[&Space], rounds: usize, out: &Path) -> Result<()> {
    let mut taken: [Vec<Duration>; VARIANTS.len()] = Default::default();
    let mut steps = Vec::new();
    for round in 0..rounds {
        let variants = spaces.iter().enumerate();
        let name = format!("work-{round}");
        let all = try_join_all(variants.map(|(variant, space)| end_of(space, variant, round)));
        let (one, followed) = tokio::try_join!(all, steps::follow(spaces[REAPER], &name))?;
        for (all, (_, taken)) in taken.iter_mut().zip(&one) {
            all.push(*taken);
        }
        steps.push(followed.since(one[REAPER].0));
        println!("round {} of {rounds}: {:?}", round + 1, taken.each_ref().map(|all| all.last()));
    }
    let samples = taken.each_ref().map(|all| Sample::new(all.clone()));

    let mut section = Section::new("cluster", "End of a Job", "make bench-cluster");
    section.text(format!(
        "From the main's exit to the Job's Complete condition, on the one-node Kubernetes of `make cluster` with the \
         real Envoy: *await* and *reaper* beside the test mesh's proxy in Linkerd's shape, *native* a plain one written \
         into the Job. {rounds} rounds of one Job of each kind, which start together and end {APART} s apart, in turn. The \
         kubelet looks for ended containers once a second and the Job controller gathers for another, so single values \
         spread widely; the work is a part of a second longer or shorter in each round, so that every variant ends at \
         all moments in between."
    ));
    let mut table = Table::new(&["variant", "p50", "p95", "min", "max"]);
    for (name, sample) in VARIANTS.into_iter().zip(&samples) {
        let seconds = |value: Duration| format!("{:.2} s", value.as_secs_f64());
        let row = [sample.median(), sample.percentile(95), sample.min(), sample.max()].map(seconds);
        table.row(std::iter::once(name.to_owned()).chain(row));
    }
    section.table(&table);
    section.plot(
        "end",
        "From the main's exit to the Job's Complete condition",
        &["min", "p50", "p95", "max"],
    );
    // Not within rounds, where most kinds are at moments of their own between two looks of the kubelet.
    let apart = |variant: usize, base: usize| {
        samples[variant].median().as_secs_f64() - samples[base].median().as_secs_f64()
    };
    let over = [NATIVE, AWAIT, NET, REAPER].map(|variant| apart(variant, UNMESHED));
    section.text(format!(
        "Between the medians, over unmeshed: native {:+.2} s, await {:+.2} s, await with its net {:+.2} s, reaper {:+.2} s.",
        over[0], over[1], over[2], over[3]
    ));
    let mut net: Vec<_> = taken[NET]
        .iter()
        .zip(&taken[AWAIT])
        .map(|(with, without)| with.as_secs_f64() - without.as_secs_f64())
        .collect();
    net.sort_by(f64::total_cmp);
    let of_net =
        |percent: usize| net.get(net.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    section.text(format!(
        "Await with its net and without end whole seconds apart in each round, at the same moment between two looks of the \
         kubelet, so they can be compared there: {:+.2} s with it (median), nine of ten between {:+.2} s and {:+.2} s.",
        of_net(50),
        of_net(5),
        of_net(95)
    ));
    section.text(
        "Where the reaper's time goes: by a watch of its pod, and by the processes of reaper and proxy on the node. The kubelet \
         writes the annotation into the file within the sync of the pod that is under way already, or else after its next \
         look, a second later; so a pod ends about one look after an unmeshed one, or two, and the median of few rounds falls \
         on the one or the other."
            .to_owned(),
    );
    section.table(&steps::table(&steps));
    section.plot("steps", "Since the main's exit, under the reaper", &["p50", "p95"]);
    for (what, limit, value, both_ways) in [
        ("await over unmeshed at p50", GOAL, over[1], false),
        ("await with its net to without, in the same round", GOAL, of_net(50), true),
        ("reaper over unmeshed at p50", REAPER_GOAL, over[3], false),
    ] {
        let limit = limit.as_secs_f64();
        let goal = format!("≤ {}{limit:.1} s", if both_ways { "±" } else { "" });
        let is_met = value <= limit && !(both_ways && value < -limit);
        section.goal(Goal::new(what, &goal, format!("{value:+.2} s"), is_met));
    }
    println!("{}", section.markdown());
    section.write_into(out).with_context(|| out.display().to_string())
}

/// An Envoy as somebody would write it into a Job by hand: started first, ended last.
fn envoy() -> Value {
    let config = "admin: {address: {socket_address: {address: 0.0.0.0, port_value: 9901}}}";
    json!({"name": "envoy", "image": image("test-mesh"), "restartPolicy": "Always",
           "command": ["/usr/local/bin/envoy", "--config-yaml", config],
           "startupProbe": {"httpGet": {"path": "/ready", "port": 9901}, "periodSeconds": 1, "failureThreshold": 60}})
}

/// Runs one Job and tells when its main exited, and how long its end took from there.
async fn end_of(space: &Space, variant: usize, round: usize) -> Result<(Duration, Duration)> {
    let name = format!("work-{round}");
    let mut work = job(&name, &work(variant, round));
    if variant == NATIVE {
        pod_of(&mut work)["initContainers"] = json!([envoy()]);
    }
    space.apply(work).await?;
    let complete = completed(space, &name).await?;
    let pod = space.pod_until(&name, "has told when it ended", |pod| ended(pod, "main").is_some()).await?;
    let main = ended(&pod, "main").context("no main")?;
    ensure!(main.exit == Some(0), "{main:?}");
    let exited = uptime(&main.message)?;
    space.delete::<Job>(&name, &DeleteParams::background()).await?;
    Ok((exited, complete.saturating_sub(exited)))
}

/// The uptime at which the watch told that the Job is Complete.
async fn completed(space: &Space, name: &str) -> Result<Duration> {
    let (api, field) = (space.api::<Job>(), format!("metadata.name={name}"));
    let started = tokio::time::Instant::now();
    // The server ends a watch when it likes.
    while started.elapsed() < PATIENCE {
        let list = api.list(&ListParams::default().fields(&field)).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let events = api.watch(&WatchParams::default().fields(&field), &version).await?;
        pin_mut!(events);
        let mut seen: Vec<_> = list.items;
        loop {
            for job in seen.drain(..) {
                let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
                if conditions.iter().any(|is| is.type_ == "Complete" && is.status == "True") {
                    return now();
                }
                if let Some(failed) = conditions.iter().find(|is| is.type_ == "Failed") {
                    bail!("Job {name} failed: {failed:?}");
                }
            }
            match events.try_next().await? {
                Some(WatchEvent::Added(job) | WatchEvent::Modified(job)) => seen.push(job),
                Some(WatchEvent::Error(status)) => bail!("the watch of Job {name}: {status:?}"),
                Some(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_)) => {}
                None => break,
            }
        }
    }
    bail!("Job {name} did not complete within {} s", PATIENCE.as_secs())
}

/// The machine's uptime.
fn now() -> Result<Duration> {
    uptime(&std::fs::read_to_string("/proc/uptime")?)
}

/// The first of the two numbers in `/proc/uptime`, hundredths of a second exact.
fn uptime(text: &str) -> Result<Duration> {
    let seconds = text.split_whitespace().next().context("no uptime")?;
    Ok(Duration::from_secs_f64(seconds.parse().with_context(|| format!("no uptime: {text:?}"))?))
}
