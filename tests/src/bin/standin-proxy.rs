//! A process that answers as a mesh proxy's admin port does and, like the proxy, never ends by itself.
#![allow(clippy::print_stderr, reason = "a program that reports to its user")]

use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use curfew_tests::{
    duration,
    standin::{Builder, OnShutdown, Shape, Unready},
};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// Stand-in for a mesh proxy: ready late, quits when told to, exits 0 then and on SIGTERM.
#[derive(Parser)]
struct Args {
    /// Whose admin port: linkerd, istio, envoy or vault.
    #[arg(long)]
    shape: Shape,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Time until it is ready; nothing listens before.
    #[arg(long, default_value = "0", value_parser = duration::parse)]
    ready_after: Duration,
    /// Listen from the start and answer 503 until ready.
    #[arg(long)]
    answer_503: bool,
    /// What to do when told to quit: ok, linger:D, 404, 403, 500, garbage, stall, endless, drip, drop, never.
    /// Default: ok; for linkerd, as the real proxy, 404 unless
    /// `LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED=true`.
    #[arg(long)]
    shutdown: Option<OnShutdown>,
    /// Where Linkerd's proxy would have its admin port; only the port number counts.
    #[arg(long, env = "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", hide = true)]
    admin_listen: Option<std::net::SocketAddr>,
    /// Linkerd's own switch.
    #[arg(long, env = "LINKERD2_PROXY_SHUTDOWN_ENDPOINT_ENABLED", hide = true)]
    endpoint_enabled: Option<String>,
    /// Append a line for each request to this file.
    #[arg(long)]
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standin-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("signal handlers")?;
    let proxy = Arc::new(builder(args).start().with_context(|| format!("listening on {}", args.address))?);
    if let Some(path) = &args.log {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file: Mutex<File> = Mutex::new(file.with_context(|| path.display().to_string())?);
        proxy.observe(move |request| {
            let at = request.at.saturating_duration_since(started).as_secs_f64();
            let status = request.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not change how the proxy behaves.
            let _ = writeln!(file, "{at:.6} {} {} {status}", request.method, request.path);
        });
    }
    let stopper = Arc::clone(&proxy);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            stopper.stop();
        }
    });
    proxy.wait_until_gone(Duration::MAX);
    Ok(())
}

fn builder(args: &Args) -> Builder {
    let linkerd = args.shape == Shape::Linkerd;
    let opened = !linkerd || args.endpoint_enabled.as_deref() == Some("true");
    let default = if opened { OnShutdown::Ok } else { OnShutdown::NotEnabled };
    let mut builder = Builder::new(args.shape, args.address)
        .ready_after(args.ready_after)
        .on_shutdown(args.shutdown.unwrap_or(default));
    if args.answer_503 {
        builder = builder.unready(Unready::Answers(503));
    }
    match args.admin_listen {
        Some(listen) if linkerd => builder.ready_port(listen.port()),
        _ => builder,
    }
}
