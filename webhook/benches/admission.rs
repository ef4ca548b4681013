//! What a review costs over an answer that never looks at the pod: the same server three times in one process, driven
//! by `wrk` over kept connections, all variants in turn within each round.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to its user")]

mod load;

use std::{
    fs,
    hint::black_box,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use axum::http::StatusCode;
use clap::Parser;
use curfew::{
    admission::{Engine, Surroundings},
    config,
    plan::{Kubelets, Namespace},
    serve::{Admit, Answer, Config, Facts, Identity, Reviews, Server, Signals},
};
use curfew_tests::{
    bench::status_mb,
    report::{Goal, Section, Table},
};
use load::{Run, middle, wrk};
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times the p50 of the handlers that do not look.
const MAX_RATIO: f64 = 1.6;
/// Connections kept open at once.
const CONNECTIONS: [usize; 2] = [1, 8];
const MILLION: u64 = 1_000_000;
/// Reviews without a server around them.
const ALONE: u32 = 5000;
/// One run of the million: short enough to stop near it.
const STRETCH: Duration = Duration::from_secs(5);

/// Benchmark of the webhook over TLS.
#[derive(Parser)]
struct Args {
    /// How long each variant is measured in each round, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Also answer a million reviews and look at the memory.
    #[arg(long)]
    million: bool,
    /// Markdown file to write the section `bench:admission` into.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md"))]
    out: PathBuf,
    /// What the report names as the command behind the figures.
    #[arg(long, default_value = "make bench")]
    command: String,
    /// Exit 1 when a goal is missed.
    #[arg(long)]
    check: bool,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// All runs at one number of connections, by round: of the handlers blind, uid only and curfew.
struct Set {
    connections: usize,
    runs: [Vec<Run>; 3],
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("admission: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<bool> {
    let Args { seconds, rounds, million, out, command, check, bench: _ } = args;
    let review = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/review.json");
    let body = fs::read(&review).with_context(|| review.display().to_string())?;
    let engine = Engine::new(config::Config::builtin()?);
    let kubelets = Kubelets::default();
    let ask = move |body: &[u8]| {
        let around = Surroundings { namespace: &Namespace::default(), kubelets: &kubelets, watch: true };
        engine.review(body, around)
    };
    let answer = ask(&body);
    let alone = alone(&ask, &body);
    let patch = answer.facts.as_ref().map_or(0, |facts| facts.patch_bytes);
    ensure!(patch > 0, "the engine has no patch for {}, so there is nothing to measure", review.display());

    let runtime = tokio::runtime::Runtime::new()?;
    let servers =
        [runtime.block_on(start(blind))?, runtime.block_on(start(uid_only))?, runtime.block_on(start(ask))?];

    let mut section = Section::new("admission", "Webhook", &command);
    section.text(format!(
        "A review of {} bytes (a k6 runner as Istio injects it) and its answer of {} bytes with a patch of {patch}, \
         over TLS and kept connections; `wrk` on the same machine. *Blind* is the same server with a handler that \
         never touches the body and answers a constant; no API server takes that for an answer, because every \
         answer repeats the uid of its request. *Uid only* reads that uid, skips the rest and allows: the cheapest \
         webhook there can be. {rounds} rounds of {seconds} s, all variants in turn within each; medians of the \
         rounds.",
        body.len(),
        answer.body.len()
    ));
    let time = Duration::from_secs(seconds);
    section.text(format!("Without the server, one review takes {alone:.0} µs (mean of {ALONE})."));
    compare(&mut section, &measure(&review, servers, rounds, time)?);
    if million {
        weigh(&mut section, &review, servers[2])?;
    }
    println!("{}", section.markdown());
    section.write_into(&out).with_context(|| out.display().to_string())?;
    let missed = section.missed().inspect(|goal| eprintln!("{goal}")).count();
    Ok(missed == 0 || !check)
}

/// What the admission logic takes of all this, in microseconds.
fn alone(ask: impl Fn(&[u8]) -> Answer, body: &[u8]) -> f64 {
    let start = Instant::now();
    for _ in 0..ALONE {
        black_box(ask(black_box(body)));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(ALONE)
}

/// Allows, without a look at the body.
fn blind(_: &[u8]) -> Answer {
    allow("5b0c3a52-6a3e-4f0b-9f5d-1d1f0d0f7c11")
}

/// Allows, without a look at the pod.
fn uid_only(body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(Deserialize)]
    struct Request<'a> {
        uid: &'a str,
    }
    let review: Review<'_> = serde_json::from_slice(body).expect("the review of this benchmark");
    allow(review.request.uid)
}

fn allow(uid: &str) -> Answer {
    let body = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true}}}}"#
    );
    let facts = Facts { workload: "unknown".into(), strategy: "off", outcome: "unchanged", patch_bytes: 0 };
    Answer { status: StatusCode::OK, body: body.into_bytes(), facts: Some(facts) }
}

/// The real server, with everything but the ports as in production. It runs until the process ends.
async fn start(admit: impl Admit) -> anyhow::Result<SocketAddr> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let identity = Identity::SelfSigned(vec!["localhost".parse()?]);
    let config = Config { listen: free, admin_listen: free, ..Config::default() };
    let reviews = Reviews { identity, admit: Arc::new(admit) };
    let server = Server::bind(config, Some(reviews)).await?;
    let address = server.webhook_address().context("no port for reviews")?;
    let (_, signals) = Signals::by_hand();
    tokio::spawn(server.run(signals));
    Ok(address)
}

fn measure(
    review: &Path,
    servers: [SocketAddr; 3],
    rounds: usize,
    time: Duration,
) -> anyhow::Result<Vec<Set>> {
    for server in servers {
        wrk(review, server, 8, time).context("warming up")?;
    }
    let mut sets = CONNECTIONS.map(|connections| Set { connections, runs: Default::default() });
    for _ in 0..rounds {
        for Set { connections, runs } in &mut sets {
            for (server, runs) in servers.into_iter().zip(runs) {
                runs.push(wrk(review, server, *connections, time)?);
            }
        }
    }
    Ok(sets.into())
}

fn compare(section: &mut Section, sets: &[Set]) {
    let mut table =
        Table::new(&["connections", "handler", "p50", "p99", "reviews/s", "p50 to blind", "p50 to uid only"]);
    for Set { connections, runs } in sets {
        for (place, name) in ["blind", "uid only", "curfew"].into_iter().enumerate() {
            // Only to those before it: a handler is not compared with itself.
            let to = |other: usize| match other < place {
                true => format!("{:.2}", ratio(&runs[place], &runs[other])),
                false => String::new(),
            };
            table.row([
                connections.to_string(),
                name.to_owned(),
                micros(median(&runs[place], |run| run.p50_us)),
                micros(median(&runs[place], |run| run.p99_us)),
                format!("{:.0}", median(&runs[place], |run| run.per_second)),
                to(0),
                to(1),
            ]);
        }
    }
    section.table(&table);
    section.plot("latency", "A review, by connections and handler", &["p50", "p99"]);
    section.plot("rate", "Reviews in a second, by connections and handler", &["reviews/s"]);
    for Set { connections, runs: [blind, uid_only, engine] } in sets {
        let s = if *connections == 1 { "" } else { "s" };
        for (other, name) in [(blind, "blind"), (uid_only, "uid only")] {
            let ratio = ratio(engine, other);
            section.goal(Goal::new(
                &format!("p50 with {connections} connection{s}, to {name}"),
                &format!("≤ {MAX_RATIO} ×"),
                format!("{ratio:.2} ×"),
                ratio <= MAX_RATIO,
            ));
        }
    }
}

/// The median of the ratios of the p50 within each round, which ran side by side.
fn ratio(runs: &[Run], others: &[Run]) -> f64 {
    middle(runs.iter().zip(others).map(|(run, other)| run.p50_us / other.p50_us).collect())
}

/// Memory of this process (all servers; `wrk` is another) around a million reviews.
fn weigh(section: &mut Section, review: &Path, engine: SocketAddr) -> anyhow::Result<()> {
    let before = status_mb(std::process::id(), "VmRSS")?;
    let mut reviews = 0;
    while reviews < MILLION {
        reviews += wrk(review, engine, 8, STRETCH)?.requests;
    }
    let after = status_mb(std::process::id(), "VmRSS")?;
    section.text(format!(
        "Resident memory, all servers in one process: {before:.1} MB after the rounds above, {after:.1} MB after {:.2} \
         million reviews more.",
        reviews as f64 / MILLION as f64
    ));
    Ok(())
}

fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    middle(runs.iter().map(figure).collect())
}

fn micros(value: f64) -> String {
    format!("{value:.0} µs")
}
