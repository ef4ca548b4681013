//! A stand-in for Vault's agent: `vault agent -config=FILE`, which serves what the file's listeners say and, like the
//! agent, never ends by itself.
//!
//! Of the configuration it reads what decides whether the agent can be told to quit: each listener's address, and
//! `agent_api.enable_quit`, without which the endpoint is 404. There is no Vault behind it, and no secrets.
#![allow(clippy::print_stderr, reason = "a program that reports to its user")]

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use curfew_tests::standin::{OnShutdown, StandIn};
use serde::Deserialize;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

/// The agent answers first, and closes its listeners in its own time.
const LINGER: Duration = Duration::from_millis(50);

/// The agent's configuration, as far as it decides.
#[derive(Deserialize)]
struct Config {
    listener: Vec<Listener>,
}

#[derive(Deserialize)]
struct Listener {
    address: SocketAddr,
    #[serde(default)]
    agent_api: AgentApi,
}

#[derive(Deserialize, Default)]
struct AgentApi {
    #[serde(default)]
    enable_quit: bool,
}

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vault: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> anyhow::Result<()> {
    let [command, config] = words else { bail!("usage: vault agent -config=FILE") };
    let (Some(file), "agent") = (config.strip_prefix("-config="), command.as_str()) else {
        bail!("usage: vault agent -config=FILE")
    };
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let config: Config = serde_json::from_str(&text).with_context(|| file.to_owned())?;
    let [listener] = config.listener.as_slice() else { bail!("{file}: one listener is all it can do") };
    let on_shutdown = if listener.agent_api.enable_quit {
        OnShutdown::OkThenLinger(LINGER)
    } else {
        OnShutdown::NotEnabled
    };
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("signal handlers")?;
    let agent = StandIn::vault(listener.address.ip())
        .ready_port(listener.address.port())
        .on_shutdown(on_shutdown)
        .start()
        .with_context(|| format!("listening on {}", listener.address))?;
    let agent = Arc::new(agent);
    let stopper = Arc::clone(&agent);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            stopper.stop();
        }
    });
    agent.wait_until_gone(Duration::MAX);
    Ok(())
}
