//! The `curfew` program.

use std::process::ExitCode;

use clap::Parser;

// A review is a tree of small strings; musl's own allocator, which the image would have, takes a lock for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    curfew::cli::Args::parse().run()
}
