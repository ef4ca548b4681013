//! What the watches cost: the real program beside an API server of many namespaces and nodes, beside one of a single
//! namespace, and without any; its memory, and its answers under load, all variants in turn within each round.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to its user")]

mod api;
#[path = "../load/mod.rs"]
mod load;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use curfew_tests::{
    bench::status_mb,
    report::{Goal, Section, Table},
};
use load::{Run, middle, wrk};
use serde::Deserialize;

/// Times the p50 without the watches.
const MAX_RATIO: f64 = 1.1;
/// With many namespaces and nodes, in MB: half of what the manifests grant.
const MAX_RSS: f64 = 64.0;
const CONNECTIONS: usize = 8;
/// The namespace of the benchmark's review.
const NAMESPACE: &str = "shop-load";

/// Benchmark of the watches.
#[derive(Parser)]
struct Args {
    /// Namespaces of the large cluster, and nodes.
    #[arg(long, default_value_t = 5000)]
    objects: usize,
    /// How long each variant is measured in each round, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Markdown file to write the section `bench:watch` into.
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

/// A running `curfew serve`, and what was measured of it; killed when it goes out of scope.
struct Webhook {
    name: String,
    process: Child,
    address: SocketAddr,
    ready_after: Duration,
    ready_mb: f64,
    runs: Vec<Run>,
}

/// What the program announces.
#[derive(Deserialize)]
struct Addresses {
    webhook: SocketAddr,
    admin: SocketAddr,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<bool> {
    let Args { objects, seconds, rounds, out, command, check, bench: _ } = args;
    let review = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/review.json");
    let runtime = tokio::runtime::Runtime::new()?;
    let small = runtime.block_on(api::serve(NAMESPACE, 1, 0))?;
    let large = runtime.block_on(api::serve(NAMESPACE, objects, objects))?;
    let mut webhooks = [
        Webhook::start("--offline".to_owned(), None)?,
        Webhook::start("1 namespace, no node".to_owned(), Some(small))?,
        Webhook::start(format!("{objects} namespaces, {objects} nodes"), Some(large))?,
    ];
    let time = Duration::from_secs(seconds);
    for webhook in &webhooks {
        wrk(&review, webhook.address, CONNECTIONS, time).context("warming up")?;
    }
    for _ in 0..rounds {
        for webhook in &mut webhooks {
            let run = wrk(&review, webhook.address, CONNECTIONS, time)?;
            webhook.runs.push(run);
        }
    }

    let mut section = Section::new("watch", "Watches", &command);
    section.text(format!(
        "`curfew serve` beside an API server that has nothing else to do: namespaces with the fields of three managers, \
         nodes with 50 images each, whose heartbeats come once in five minutes each. Ready is when both lists are \
         read; then the review of the section above over {CONNECTIONS} kept connections, {rounds} rounds of {seconds} s, \
         all variants in turn within each; medians of the rounds."
    ));
    let mut table =
        Table::new(&["cluster", "ready after", "RSS then", "RSS after the load", "p50", "p99", "reviews/s"]);
    let mut after = Vec::new();
    for webhook in &webhooks {
        let rss = status_mb(webhook.process.id(), "VmRSS")?;
        after.push(rss);
        let median = |figure: fn(&Run) -> f64| middle(webhook.runs.iter().map(figure).collect());
        table.row([
            webhook.name.clone(),
            format!("{:.2} s", webhook.ready_after.as_secs_f64()),
            format!("{:.1} MB", webhook.ready_mb),
            format!("{rss:.1} MB"),
            format!("{:.0} µs", median(|run| run.p50_us)),
            format!("{:.0} µs", median(|run| run.p99_us)),
            format!("{:.0}", median(|run| run.per_second)),
        ]);
    }
    section.table(&table);
    section.plot("memory", "Memory of curfew serve", &["RSS then", "RSS after the load"]);
    section.plot("latency", "A review over 8 connections", &["p50", "p99"]);
    let reviews = |webhook: &Webhook| webhook.runs.iter().map(|run| run.requests).sum::<u64>();
    section.text(format!(
        "Each answered {} reviews or more.",
        webhooks.iter().map(reviews).min().unwrap_or_default()
    ));
    let [offline, _, watching] = &webhooks;
    let ratios = watching.runs.iter().zip(&offline.runs).map(|(run, other)| run.p50_us / other.p50_us);
    let ratio = middle(ratios.collect());
    let most = after[2].max(watching.ready_mb);
    section.goal(Goal::new(
        "p50 with both watches, to --offline",
        &format!("≤ {MAX_RATIO} ×"),
        format!("{ratio:.2} ×"),
        ratio <= MAX_RATIO,
    ));
    section.goal(Goal::new(
        "memory with both watches",
        &format!("≤ {MAX_RSS} MB"),
        format!("{most:.1} MB"),
        most <= MAX_RSS,
    ));
    println!("{}", section.markdown());
    section.write_into(&out).with_context(|| out.display().to_string())?;
    let missed = section.missed().inspect(|goal| eprintln!("{goal}")).count();
    Ok(missed == 0 || !check)
}

// === impl Webhook ===

impl Webhook {
    /// Starts one beside this API server, and waits until it is ready.
    fn start(name: String, api: Option<SocketAddr>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let announce = folder.path().join("announce.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args(["serve", "--self-signed", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--announce").arg(&announce);
        match api {
            None => command.arg("--offline"),
            Some(api) => command.env("KUBECONFIG", kubeconfig(folder.path(), api)?),
        };
        let start = Instant::now();
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("curfew serve")?;
        let mut webhook = Self {
            name,
            process,
            address: ([0; 4], 0).into(),
            ready_after: Duration::ZERO,
            ready_mb: 0.0,
            runs: Vec::new(),
        };
        loop {
            let addresses =
                fs::read(&announce).ok().and_then(|text| serde_json::from_slice::<Addresses>(&text).ok());
            if let Some(Addresses { webhook: address, admin }) = addresses
                && ureq::get(format!("http://{admin}/readyz")).call().is_ok()
            {
                webhook.address = address;
                webhook.ready_after = start.elapsed();
                webhook.ready_mb = status_mb(webhook.process.id(), "VmRSS")?;
                return Ok(webhook);
            }
            ensure!(webhook.process.try_wait()?.is_none(), "curfew serve ended");
            ensure!(start.elapsed() < Duration::from_secs(120), "curfew serve does not get ready");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn kubeconfig(folder: &Path, api: SocketAddr) -> std::io::Result<PathBuf> {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{api}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    fs::write(&path, text)?;
    Ok(path)
}
