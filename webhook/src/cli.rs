//! The command line.

mod check;
mod explain;
mod given;
mod inject;
mod policy;
mod rescue;
mod rows;
mod serve;

use std::process::ExitCode;

use clap::Parser;

pub use serve::ServeArgs;

/// Lets Jobs end beside service-mesh proxies.
#[derive(Debug, Parser)]
#[command(name = "curfew", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the admission webhook
    Serve(Box<ServeArgs>),
    /// Patch the pods in YAML files as the webhook would, offline
    Inject(inject::InjectArgs),
    /// Print what is known of sidecars and workloads
    Catalogue(rows::CatalogueArgs),
    /// Print a MutatingAdmissionPolicy that has meshes inject native sidecars, without a webhook
    Policy(policy::PolicyArgs),
    /// Look whether Curfew works on a cluster, and what keeps it from that
    Check(check::CheckArgs),
    /// Tell why a pod, a Job or a TestRun stands where it stands, or what would be done to one
    Explain(explain::ExplainArgs),
    /// Find pods that hang although their work is done, and let them go
    Rescue(Box<rescue::RescueArgs>),
    /// Print the version
    Version,
}

impl Args {
    /// Runs what was asked for; failures go to standard error.
    pub fn run(self) -> ExitCode {
        let Self { command } = self;
        let result = match command {
            Command::Serve(args) => serve::run(*args),
            Command::Inject(args) => inject::run(args),
            Command::Catalogue(args) => rows::run(&args),
            Command::Policy(args) => policy::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Rescue(args) => rescue::run(*args),
            Command::Version => version(),
        };
        result.unwrap_or_else(|error| {
            report(&format!("curfew: {error:#}"));
            ExitCode::FAILURE
        })
    }
}

fn version() -> anyhow::Result<ExitCode> {
    print(concat!("curfew ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "messages of a command")]
fn report(message: &str) {
    eprintln!("{message}");
}

/// Writes a command's output; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
