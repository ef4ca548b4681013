//! Measures the wrapper (`curfew-reaper await`) and writes what it found.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to its user")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use curfew_tests::{
    bench::{Around, Idle, Variant, Waited, Weight, around_true, idle, starts_after_ready, weigh},
    report::{Goal, Section, Table},
    stats::millis,
};

/// Size of the stripped x86_64 musl binary.
const MAX_FILE: u64 = 480 * 1024;
/// Memory while the command runs.
const MAX_RSS_KB: u64 = 512;
/// Above tini at p50.
const MAX_OVER_TINI: Duration = Duration::from_micros(300);
/// From ready to started, in the median.
const MAX_START: Duration = Duration::from_millis(10);
/// Of one core, while waiting.
const MAX_CPU: f64 = 0.01;
/// How long wrapper and reaper are watched while they wait.
const WAIT: Duration = Duration::from_secs(30);
/// When the awaited proxies get ready.
const READY_AFTER: [Duration; 4] =
    [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(25)];

/// Benchmark of the wrapper: around /bin/true, start after ready, weight.
#[derive(Parser)]
struct Args {
    /// The curfew-reaper to measure; the static one of the profile `reaper`.
    #[arg(long)]
    reaper: PathBuf,
    /// tini, to compare with.
    #[arg(long, default_value = "/usr/bin/tini-static")]
    tini: PathBuf,
    /// Rounds around /bin/true.
    #[arg(long, default_value_t = 500)]
    rounds: usize,
    /// Wrappers that wait at the same time, for each readiness.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Markdown file to write the sections `bench:wrapper` and `bench:waiting` into.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the report names as the command behind the figures.
    #[arg(long, default_value = "make bench")]
    command: String,
    /// Measure only what wrapper and reaper take while they wait.
    #[arg(long)]
    waiting: bool,
    /// Exit 1 when a goal is missed.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-wrapper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when a goal was missed and `--check` asked for it.
fn run(args: &Args) -> anyhow::Result<bool> {
    let Args { reaper, tini, rounds, parallel, out, command, waiting, check } = args;
    let mut waits = Section::new("waiting", "Waiting", command);
    at_rest(&mut waits, &idle(reaper, WAIT).context("while waiting")?);
    let mut missed = conclude(&waits, out.as_deref())?;
    if *waiting {
        return Ok(missed == 0 || !check);
    }

    let mut section = Section::new("wrapper", "Wrapper", command);

    let mut variants = vec![Variant::Direct];
    if tini.exists() {
        variants.push(Variant::Tini(tini.clone()));
    }
    variants.extend([Variant::Await(reaper.clone()), Variant::ExecOnly(reaper.clone())]);
    around(&mut section, &around_true(&variants, *rounds).context("around /bin/true")?);

    let waited = starts_after_ready(reaper, &READY_AFTER, *parallel).context("start after ready")?;
    starts(&mut section, &waited, *parallel);

    weight(&mut section, weigh(reaper).context("weighing")?);

    missed += conclude(&section, out.as_deref())?;
    Ok(missed == 0 || !check)
}

/// Prints and writes a section; how many goals were missed.
fn conclude(section: &Section, out: Option<&Path>) -> anyhow::Result<usize> {
    println!("{}", section.markdown());
    if let Some(path) = out {
        section.write_into(path).with_context(|| path.display().to_string())?;
    }
    Ok(section.missed().inspect(|goal| eprintln!("{goal}")).count())
}

fn around(section: &mut Section, results: &[Around]) {
    let rounds = results.first().map_or(0, |result| result.took.len());
    section.text(format!(
        "Start to exit around `/bin/true`, {rounds} rounds, all variants in turn within each; the \
         proxy is ready and closes its listener with its answer."
    ));
    let mut table = Table::new(&["variant", "p50", "p95"]);
    for Around { variant, took } in results {
        table.row([variant.title().to_owned(), millis(took.median()), millis(took.percentile(95))]);
    }
    section.table(&table);
    section.plot("around", "Start to exit around /bin/true", &["p50", "p95"]);

    let median = |wanted: fn(&Variant) -> bool| {
        results.iter().find(|result| wanted(&result.variant)).map(|result| result.took.median())
    };
    let wanted = "within 0.3 ms of tini-static at p50";
    let tini = median(|variant| matches!(variant, Variant::Tini(_)));
    let wrapper = median(|variant| matches!(variant, Variant::Await(_)));
    section.goal(match (tini, wrapper) {
        (Some(tini), Some(wrapper)) => {
            let difference = (wrapper.as_secs_f64() - tini.as_secs_f64()) * 1000.0;
            Goal::new(
                "around a command",
                wanted,
                format!("{difference:+.2} ms"),
                wrapper <= tini + MAX_OVER_TINI,
            )
        }
        _ => Goal::new("around a command", wanted, "nothing: tini-static is not installed", false),
    });
}

fn starts(section: &mut Section, results: &[Waited], parallel: usize) {
    section.text(format!(
        "From the proxy's readiness to the first byte of the command, {parallel} wrappers at once for each \
         readiness (ready within 50 ms, so that they are not in step), all of them together; processor time of the busiest wrapper until then."
    ));
    let mut table = Table::new(&["proxy ready after", "min", "median", "max", "of a core"]);
    for Waited { ready_after, delay, cpu_share } in results {
        let ready = format!("{} s", ready_after.as_secs_f64());
        let share = format!("{:.2} %", cpu_share * 100.0);
        table.row([ready, millis(delay.min()), millis(delay.median()), millis(delay.max()), share]);
    }
    section.table(&table);
    section.plot("start", "From the proxy's readiness to the command", &["min", "median", "max"]);
    let slowest = results.iter().map(|result| result.delay.median()).max().unwrap_or_default();
    let slow = format!("{} at most", millis(slowest));
    section.goal(Goal::new("start after ready", "≤ 10 ms median", slow, slowest <= MAX_START));
    let busiest = results.iter().map(|result| result.cpu_share).fold(0.0, f64::max);
    let busy = format!("{:.2} %", busiest * 100.0);
    section.goal(Goal::new("processor while waiting", "< 1 % of a core", busy, busiest < MAX_CPU));
}

fn at_rest(section: &mut Section, results: &[Idle; 2]) {
    section.text(format!(
        "`await` while its command runs and `reap` while a main does, side by side for {} s, with nothing to do.",
        WAIT.as_secs()
    ));
    let mut table = Table::new(&["what", "VmRSS", "RssAnon", "processor until it waits", "while it waits"]);
    for (name, Idle { rss_kb, anonymous_kb, start, waiting }) in ["await", "reap"].iter().zip(results) {
        let [rss, anonymous] = [rss_kb, anonymous_kb].map(|size| format!("{size} kB"));
        table.row([(*name).to_owned(), rss, anonymous, millis(*start), millis(*waiting)]);
    }
    section.table(&table);
    section.plot("memory", "Memory while there is nothing to do", &["VmRSS", "RssAnon"]);
    let [_, reap] = results;
    let rss = format!("{} kB", reap.rss_kb);
    section.goal(Goal::new("memory of the reaper", "≤ 512 kB", rss, reap.rss_kb <= MAX_RSS_KB));
    let busy = millis(reap.waiting);
    section.goal(Goal::new("processor of the reaper while it waits", "none", busy, reap.waiting.is_zero()));
}

fn weight(section: &mut Section, Weight { file, rss_kb, anonymous_kb }: Weight) {
    section.text("The binary, and the wrapper's memory while its command runs.");
    let mut table = Table::new(&["what", "size"]);
    table.row(["file".to_owned(), format!("{file} B")]);
    table.row(["VmRSS".to_owned(), format!("{rss_kb} kB")]);
    table.row(["RssAnon".to_owned(), format!("{anonymous_kb} kB")]);
    section.table(&table);
    section.goal(Goal::new(
        "size",
        "≤ 480 KiB",
        format!("{:.0} KiB", file as f64 / 1024.0),
        file <= MAX_FILE,
    ));
    section.goal(Goal::new("memory", "≤ 512 kB", format!("{rss_kb} kB"), rss_kb <= MAX_RSS_KB));
}
