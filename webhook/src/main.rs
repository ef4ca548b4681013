//! The `curfew` program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    curfew::cli::Args::parse().run()
}
