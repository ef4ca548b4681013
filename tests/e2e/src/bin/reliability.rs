//! What disruptions cost: pods are made at a steady pace, and Jobs beside the test mesh, while Curfew's replicas, their
//! certificates and the API server are disturbed, one way after another.
//!
//! The pods are gated, so that they cost the node nothing; whoever makes them does as a controller would, and tries again
//! what was refused. The cluster has to be on this machine: replicas are killed, and the API server is.
#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

#[path = "reliability/away.rs"]
mod away;
#[path = "reliability/disruptions.rs"]
mod disruptions;
#[path = "reliability/jobs.rs"]
mod jobs;
#[path = "reliability/pods.rs"]
mod pods;
#[path = "reliability/report.rs"]
mod report;
#[path = "reliability/tally.rs"]
mod tally;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use away::is_away;
use clap::Parser;
use curfew_e2e::{BEHIND, Handshakes, Setup, Shape, Space};
use curfew_tests::duration;
use disruptions::Disruption;
use tally::Tally;
use tokio::time::{interval, sleep_until};

/// Measurement of what disruptions cost.
#[derive(Parser)]
struct Args {
    /// How long each disruption is looked at, at least: a short trial takes `5`.
    #[arg(long, default_value_t = 40, value_name = "SECONDS")]
    seconds_per_disruption: u64,
    /// How often certificates are asked for, and replicas killed.
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Pods a second.
    #[arg(long, default_value_t = 20)]
    pods: u32,
    /// Between two Jobs.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    job_every: Duration,
    /// Jobs that run at once, at most: those a small node takes.
    #[arg(long, default_value_t = 24)]
    jobs_at_once: usize,
    /// Those disruptions alone whose names hold this.
    #[arg(long, default_value = "")]
    only: String,
    /// Markdown file to write the section `bench:reliability` into.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md"))]
    out: PathBuf,
}

/// Between two handshakes with each replica.
const HANDSHAKES: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    // No mesh here: its injector would have to hold out, too.
    Setup::new("reliability pods")
        .curfew()
        .run(async |pods| {
            Setup::new("reliability jobs")
                .curfew()
                .mesh(Shape::Linkerd)
                .run(async |jobs| measure(&args, pods, jobs).await)
                .await
        })
        .await
}

async fn measure(args: &Args, pods: &Space, jobs: &Space) -> Result<()> {
    let tally = Tally::default();
    let disturb = async {
        let least = Duration::from_secs(args.seconds_per_disruption);
        for disruption in Disruption::ALL {
            let name = disruption.name(args.times);
            if !name.contains(&args.only) {
                continue;
            }
            tally.begin(disruption, name.clone());
            let until = Instant::now() + least;
            disruption.happen(pods, args.times).await.context(name)?;
            // What comes of it is its own, too, as is what an API server that is a little behind sees.
            sleep_until(until.max(Instant::now() + BEHIND).into()).await;
            println!("{}", tally.read(|parts| parts.last().map(report::line)).unwrap_or_default());
        }
        tally.finish();
        println!("waiting for what is under way");
        anyhow::Ok(())
    };
    tokio::try_join!(
        disturb,
        pods::stream(pods, args.pods, &tally),
        pods::swept(pods, &tally),
        jobs::stream(jobs, args.job_every, args.jobs_at_once, &tally),
        shaken(pods, &tally),
    )?;
    let section = tally.read(|parts| report::section(parts, args.pods, args.job_every, args.jobs_at_once));
    println!("{}", section.markdown());
    section.write_into(&args.out).with_context(|| args.out.display().to_string())
}

/// Shakes hands with every replica again and again.
async fn shaken(space: &Space, tally: &Tally) -> Result<()> {
    let mut pace = interval(HANDSHAKES);
    let mut handshakes = Handshakes::new(space);
    while !tally.is_over() {
        pace.tick().await;
        match handshakes.with_all().await {
            Ok(round) => tally.shaken(round),
            // While the API server is away nobody can be asked for the bundle.
            Err(error) if is_away(&error) => {}
            Err(error) => return Err(error.context("no handshakes")),
        }
    }
    Ok(())
}
