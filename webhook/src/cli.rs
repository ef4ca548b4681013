//! The command line.

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
