//! What the watch over pods costs: the real program beside a real API server full of pods that nobody runs. They are
//! bound to no node, and their statuses are written here in the kubelet's place.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to its user")]

mod pods;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
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
use pods::{Cluster, State};
use serde::Deserialize;

/// In MB, for 20,000 pods.
const MAX_RSS: f64 = 60.0;
/// Clock ticks a second, as /proc counts processor time on Linux.
const TICKS: f64 = 100.0;

/// Benchmark of the watch over pods. Needs KUBECONFIG of a cluster whose API server can be given so many pods.
#[derive(Parser)]
struct Args {
    /// Pods.
    #[arg(long, default_value_t = 20_000)]
    pods: usize,
    /// Markdown file to write the section `bench:completion` into.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md"))]
    out: PathBuf,
    /// What the report names as the command behind the figures.
    #[arg(long, default_value = "make bench-watch")]
    command: String,
    /// Exit 1 when a goal is missed.
    #[arg(long)]
    check: bool,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A running `curfew serve --no-webhook`; killed when it goes out of scope.
struct Watch {
    process: Child,
    admin: SocketAddr,
    started: Instant,
}

/// What was measured of it.
struct Figures {
    after: Duration,
    rss_mb: f64,
    peak_mb: f64,
    cpu: f64,
}

#[derive(Deserialize)]
struct Addresses {
    admin: SocketAddr,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("watch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<bool> {
    let Args { pods, out, command, check, bench: _ } = args;
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = runtime.block_on(Cluster::new())?;
    let synced = |watch: &Watch| watch.metric("curfew_watch_synced ").map(|it| it == 1.0);
    let without = Watch::start()?.figures(synced)?;
    eprintln!("watch: making {pods} pods");
    let bytes = runtime.block_on(cluster.make(pods))?;
    let measured = (|| {
        runtime.block_on(cluster.write(pods, State::Running))?;
        let at_work = Watch::start()?.figures(synced)?;
        eprintln!("watch: all mains end while nobody watches");
        runtime.block_on(cluster.write(pods, State::Ended))?;
        // Each pod counts once there, also one that is patched again because the list was still being read.
        let first = "curfew_done_delay_seconds_count ";
        let caught_up = Watch::start()?.figures(|watch| watch.metric(first).map(|it| it >= pods as f64))?;
        runtime.block_on(cluster.check_told(pods))?;
        let told = Watch::start()?.figures(synced)?;
        anyhow::Ok([at_work, caught_up, told])
    })();
    runtime.block_on(cluster.clear())?;
    let figures = measured?;

    let mut section = Section::new("completion", "Pods watched", &command);
    section.text(format!(
        "`curfew serve --no-webhook` beside the API server of `make cluster`, in which {pods} pods of {bytes} bytes each \
         have Curfew's labels and run on no node; their statuses are written in the kubelet's place. *At work*: from the \
         start of the program until all are listed. *Ended meanwhile*: all of their mains ended while nobody watched; \
         from the start until every one of them is marked. *Marked*: the same pods once more. The API server, etcd and \
         the program share the machine."
    ));
    let mut table = Table::new(&["pods", "time", "RSS then", "RSS at most", "processor time", "pods/s"]);
    let names = ["at work", "ended meanwhile", "marked"];
    for (name, Figures { after, rss_mb, peak_mb, cpu }) in names.iter().zip(&figures) {
        table.row([
            (*name).to_owned(),
            format!("{:.1} s", after.as_secs_f64()),
            format!("{rss_mb:.1} MB"),
            format!("{peak_mb:.1} MB"),
            format!("{cpu:.1} s"),
            format!("{:.0}", pods as f64 / after.as_secs_f64()),
        ]);
    }
    section.table(&table);
    section.plot("memory", "Memory of the watch", &["RSS then", "RSS at most"]);
    section.plot("rate", "Pods in a second", &["pods/s"]);
    let [at_work, caught_up, _] = &figures;
    let per_pod = |from: &Figures| from.cpu / pods as f64 * 1e6;
    section.text(format!(
        "A pod that is listed costs {:.0} µs of one processor, one that is marked {:.0} µs; 100,000 would be listed in \
         {:.0} s and, had all of them ended at once, marked in {:.0} s at this API server's pace.",
        per_pod(at_work),
        per_pod(caught_up),
        at_work.after.as_secs_f64() * 1e5 / pods as f64,
        caught_up.after.as_secs_f64() * 1e5 / pods as f64,
    ));
    let most = figures.iter().map(|figures| figures.peak_mb).fold(0.0, f64::max);
    let per_pod = (most - without.peak_mb) / pods as f64;
    section.text(format!(
        "Without any pod it takes {:.1} MB at most. From there on each costs {:.0} bytes, by which 100,000 would take \
         {:.0} MB.",
        without.peak_mb,
        per_pod * 1e6,
        without.peak_mb + per_pod * 1e5,
    ));
    section.goal(Goal::new(
        &format!("memory with {pods} pods"),
        &format!("≤ {MAX_RSS} MB"),
        format!("{most:.1} MB"),
        most <= MAX_RSS,
    ));
    println!("{}", section.markdown());
    section.write_into(&out).with_context(|| out.display().to_string())?;
    let missed = section.missed().inspect(|goal| eprintln!("{goal}")).count();
    Ok(missed == 0 || !check)
}

// === impl Watch ===

impl Watch {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let announce = folder.path().join("announce.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args([
            "serve",
            "--no-webhook",
            "--admin-listen",
            "127.0.0.1:0",
            "--log",
            "warn",
            "--announce",
        ]);
        let started = Instant::now();
        let process = command.arg(&announce).stdout(Stdio::null()).spawn().context("curfew serve")?;
        let mut watch = Self { process, admin: ([0; 4], 0).into(), started };
        loop {
            let addresses =
                fs::read(&announce).ok().and_then(|text| serde_json::from_slice::<Addresses>(&text).ok());
            if let Some(Addresses { admin }) = addresses {
                watch.admin = admin;
                return Ok(watch);
            }
            ensure!(watch.process.try_wait()?.is_none(), "curfew serve ended");
            ensure!(started.elapsed() < Duration::from_secs(60), "curfew serve does not start");
            sleep(Duration::from_millis(10));
        }
    }

    /// What it took until this came true.
    fn figures(self, done: impl Fn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<Figures> {
        while !done(&self)? {
            ensure!(self.started.elapsed() < Duration::from_secs(1800), "this takes over half an hour");
            sleep(Duration::from_millis(50));
        }
        let after = self.started.elapsed();
        let pid = self.process.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name, which may have blanks in it: utime and stime are the 14th and 15th of all.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let (rss_mb, peak_mb) = (status_mb(pid, "VmRSS")?, status_mb(pid, "VmHWM")?);
        Ok(Figures { after, rss_mb, peak_mb, cpu: ticks / TICKS })
    }

    fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let page = ureq::get(format!("http://{}/metrics", self.admin)).call()?.body_mut().read_to_string()?;
        let value = page.lines().find_map(|line| line.strip_prefix(series));
        Ok(value.with_context(|| series.to_owned())?.parse()?)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
