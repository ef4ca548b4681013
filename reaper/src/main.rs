//! `curfew-reaper`: waits for a pod's proxies, runs the command, and tells the proxies to quit when it is done.
//!
//! Read `run` first (`await`), then `reap`; everything else is one subject each.

mod args;
mod child;
mod drive;
mod duration;
mod endpoint;
mod http;
mod install;
mod kill_rule;
mod linkerd_await;
mod message;
mod quit;
mod ready;
mod reap;
mod run;
mod signals;
mod sys;
mod tombstones;
mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use args::Order;

fn main() -> ExitCode {
    // Before anything else: whatever goes wrong in here, the command's log must stay the command's.
    message::silence_panics(None);
    let code = match args::read(std::env::args_os()) {
        Ok(Order::Await(order)) => run::run(*order),
        Ok(Order::Reap(order)) => reap::run(*order),
        Ok(Order::Install(directory)) => install::install(&directory),
        Ok(Order::Say(text)) => io::stdout().write_all(text.as_bytes()).map_or(1, |()| 0),
        Err(error) => error.report(),
    };
    ExitCode::from(code)
}
