//! Start to exit around `/bin/true`: directly, under tini, under the wrapper.

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{standin::StandIn, stats::Sample};

/// The command all variants run.
const TRUE: &str = "/bin/true";
/// Lets the threads of a fresh stand-in reach `accept` before the clock starts.
const SETTLE: Duration = Duration::from_millis(1);
/// The first rounds warm caches and are not counted.
const WARM_UP: usize = 10;

/// One way to run the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    /// Without anything around it.
    Direct,
    /// `tini -- /bin/true`, with the path of tini.
    Tini(PathBuf),
    /// `await --ready … --shutdown … -- /bin/true`.
    Await(PathBuf),
    /// `await --ready … -- /bin/true`: nothing to do afterwards, so the wrapper becomes the command.
    ExecOnly(PathBuf),
}

/// What one variant took.
#[derive(Debug, Clone)]
pub struct Around {
    /// The variant.
    pub variant: Variant,
    /// Start to exit of every counted round.
    pub took: Sample,
}

// === impl Variant ===

impl Variant {
    /// For a table.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Direct => "/bin/true",
            Self::Tini(_) => "tini-static -- /bin/true",
            Self::Await(_) => "await --ready --shutdown -- /bin/true",
            Self::ExecOnly(_) => "await --ready -- /bin/true (exec)",
        }
    }

    fn command(&self, proxy: &StandIn) -> Command {
        let wrapper = |path: &Path, urls: &[String]| {
            let mut command = Command::new(path);
            command.arg("await").args(urls).args(["--", TRUE]);
            command
        };
        let ready = ["--ready".to_owned(), proxy.ready_url()];
        match self {
            Self::Direct => Command::new(TRUE),
            Self::Tini(path) => {
                let mut command = Command::new(path);
                command.args(["--", TRUE]);
                command
            }
            Self::ExecOnly(path) => wrapper(path, &ready),
            Self::Await(path) => {
                let [flag, url] = ready;
                wrapper(path, &[flag, url, "--shutdown".to_owned(), proxy.shutdown_url()])
            }
        }
    }

    /// Runs the command once beside a proxy that is ready and will close with its answer.
    fn run(&self) -> io::Result<Duration> {
        // Every variant gets one, so that they differ in nothing but themselves.
        let proxy = StandIn::linkerd(Ipv4Addr::LOCALHOST).any_port().start()?;
        let mut command = self.command(&proxy);
        // As tini itself asks for when it is not PID 1; it would warn otherwise.
        command.env("TINI_SUBREAPER", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        thread::sleep(SETTLE);
        let start = Instant::now();
        let status = command.spawn()?.wait()?;
        let took = start.elapsed();
        if !status.success() {
            return Err(io::Error::other(format!("{}: {status}", self.title())));
        }
        if matches!(self, Self::Await(_)) != proxy.is_quit() {
            return Err(io::Error::other(format!(
                "{}: the proxy's end is not what was asked for",
                self.title()
            )));
        }
        Ok(took)
    }
}

/// Runs all variants `rounds` times, interleaved, each round beginning with another one.
///
/// # Errors
/// When a program cannot be started, fails, or leaves the proxy in the wrong state.
pub fn around_true(variants: &[Variant], rounds: usize) -> io::Result<Vec<Around>> {
    let mut took = vec![Vec::with_capacity(rounds); variants.len()];
    for round in 0..rounds + WARM_UP {
        for turn in 0..variants.len() {
            let index = (round + turn) % variants.len();
            let duration = variants[index].run()?;
            if round >= WARM_UP {
                took[index].push(duration);
            }
        }
    }
    let samples = took.into_iter().map(Sample::new);
    Ok(variants.iter().cloned().zip(samples).map(|(variant, took)| Around { variant, took }).collect())
}
