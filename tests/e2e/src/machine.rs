//! The cluster that is on this machine, and what is done to it as a whole.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// Kills its API server, without notice, and starts it again.
///
/// # Errors
/// It is not there, or does not come back.
pub fn restart_api_server() -> Result<()> {
    run("restart-apiserver.sh", &[])
}

/// The same, while containers' processes of this name stand still: they never see it gone, and ask the new one to go on from
/// the version the old one told last.
///
/// # Errors
/// There is no such process, or as above.
pub fn restart_api_server_unseen_by(program: &str) -> Result<()> {
    run("restart-apiserver.sh", &[program])
}

/// Takes the power of its node away, and gives it back.
///
/// # Errors
/// The same.
pub fn lose_power() -> Result<()> {
    run("power-loss.sh", &[])
}

fn run(script: &str, arguments: &[&str]) -> Result<()> {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cluster")).join(script);
    let output =
        Command::new(&script).args(arguments).output().with_context(|| script.display().to_string())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
