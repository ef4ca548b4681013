//! Programs of the pods' images, played by this one under their names: k6, kubectl, curl and Linkerd's hook.
//!
//! Each behaves as the real one beside a sidecar whose iptables rules send everything through the proxy:
//! while the proxy is not there, it has no network.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "programs played under their own names")]

mod k6;
mod programs;
mod status_api;

use std::{env, io, os::unix::fs::symlink, path::Path, process::ExitCode};

use super::http;

/// Tells a container where its proxy says that it is ready.
pub(super) const PROXY_ENV: &str = "CURFEW_DEMO_PROXY";

type Program = fn(&[String]) -> ExitCode;

const PROGRAMS: [(&str, Program); 4] = [
    ("k6", k6::main),
    ("kubectl", programs::kubectl),
    ("curl", programs::curl),
    ("linkerd-await", programs::linkerd_await),
];

/// Puts the programs into a folder, as links to this one.
pub(super) fn install(bin: &Path) -> io::Result<()> {
    let own = env::current_exe()?;
    PROGRAMS.iter().try_for_each(|(name, _)| symlink(&own, bin.join(name)))
}

/// Plays a program if this one was called by its name.
pub fn play() -> Option<ExitCode> {
    let mut args = env::args();
    let name = args.next()?;
    let name = Path::new(&name).file_name()?.to_str()?;
    let (_, program) = PROGRAMS.iter().find(|(known, _)| *known == name)?;
    Some(program(&args.collect::<Vec<_>>()))
}

/// Whether this container has a network: whether its proxy is ready.
fn has_network() -> bool {
    env::var(PROXY_ENV).is_ok_and(|url| http::status(&url).is_some_and(|status| status == 200))
}
