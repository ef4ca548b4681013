//! `demo`: what Curfew does, shown without a cluster. Plays k6, kubectl and curl when called by those names.
#![allow(clippy::print_stderr, reason = "a program that reports to its user")]

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context, ensure};
use clap::Parser;
use curfew_tests::demo::{self, Programs, Real, clean_up, fake, kill_everything};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// Pods of k6-operator beside a mesh's proxy: they hang without Curfew and end with it.
#[derive(Parser)]
struct Args {
    /// The webhook's program.
    #[arg(long)]
    curfew: PathBuf,
    /// The in-pod supervisor.
    #[arg(long)]
    reaper: PathBuf,
    /// The stand-in proxy; by default beside this program.
    #[arg(long)]
    standin: Option<PathBuf>,
    /// The main is the real k6, the proxy the real Envoy.
    #[arg(long, requires_all = ["k6", "envoy"])]
    real: bool,
    /// Real k6.
    #[arg(long)]
    k6: Option<PathBuf>,
    /// Real Envoy.
    #[arg(long)]
    envoy: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(code) = fake::play() {
        return code;
    }
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when something was not as shown.
fn run(args: Args) -> anyhow::Result<bool> {
    let programs = programs(args)?;
    let folder = tempfile::Builder::new().prefix("curfew-demo-").tempdir().context("a folder")?.keep();
    end_on_signals(folder.clone())?;
    let result = demo::run(programs, &folder);
    if matches!(&result, Ok(wrong) if wrong.is_empty()) {
        clean_up(&folder).with_context(|| folder.display().to_string())?;
    } else {
        eprintln!("logs and files of this run: {}", folder.display());
    }
    result.map(|wrong| wrong.is_empty())
}

fn programs(args: Args) -> anyhow::Result<Programs> {
    let Args { curfew, reaper, standin, real, k6, envoy } = args;
    let beside = env::current_exe()?.with_file_name("standin-proxy");
    let real = match (real, k6, envoy) {
        (true, Some(k6), Some(envoy)) => Some(Real { k6: absolute(&k6)?, envoy: absolute(&envoy)? }),
        _ => None,
    };
    let standin = absolute(standin.as_deref().unwrap_or(&beside))?;
    Ok(Programs { curfew: absolute(&curfew)?, reaper: absolute(&reaper)?, standin, real })
}

/// Containers have working directories of their own, so relative paths would not do.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = path.canonicalize().with_context(|| path.display().to_string())?;
    ensure!(path.is_file(), "{} is no program", path.display());
    Ok(path)
}

/// The containers are in process groups of their own and hear no ^C.
fn end_on_signals(folder: PathBuf) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            kill_everything();
            // It is only a folder of logs; the signal says that nobody wants them.
            let _ = clean_up(&folder);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
