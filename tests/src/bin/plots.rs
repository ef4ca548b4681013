//! Draws the plots of documents anew from their tables, as the benchmarks do with their sections.
#![allow(clippy::print_stdout, reason = "a program that reports to its user")]

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use curfew_tests::report::draw;

/// Draws plots from the tables above them.
#[derive(Parser)]
struct Args {
    /// Markdown files.
    #[arg(required = true)]
    documents: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    for document in Args::parse().documents {
        for plot in draw(&document).with_context(|| document.display().to_string())? {
            println!("{plot}");
        }
    }
    Ok(())
}
