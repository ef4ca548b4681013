//! The program a user runs, `curfew`, in tests of its commands.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

/// What it answered.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it as whoever the environment's kubeconfig says, or this one's.
pub(crate) fn curfew(arguments: &[&str], kubeconfig: Option<&str>) -> Result<Answer> {
    // Beside the folder of the tests, where `run.sh` had it built.
    let tests = std::env::current_exe()?;
    let curfew = tests.ancestors().nth(2).context("no target folder")?.join("curfew");
    let mut command = Command::new(&curfew);
    command.args(arguments).stdin(Stdio::null());
    if let Some(file) = kubeconfig {
        command.env("KUBECONFIG", file);
    }
    let output = command.output().with_context(|| format!("cannot run {}", curfew.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

impl Answer {
    /// What it printed for scripts.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {}{}", self.out, self.err))
    }
}
