//! k6, as k6-operator calls it: archive, inspect, and a paused run with its REST API.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use super::{has_network, status_api::StatusApi};

/// How long a started test runs.
const TEST: Duration = Duration::from_millis(1000);
/// One request each.
const ITERATION: Duration = Duration::from_millis(100);
/// k6's own code for crossed thresholds.
const THRESHOLDS_CROSSED: u8 = 99;
/// k6's own code for an error of its engine.
const CANNOT_START: u8 = 107;

/// `k6 archive|inspect|run`.
pub(super) fn main(args: &[String]) -> ExitCode {
    let result = match args.first().map(String::as_str) {
        Some("archive") => archive(args),
        Some("inspect") => inspect(args),
        Some("run") => return run(args),
        other => Err(format!("unknown command {other:?}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message, CANNOT_START),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("time=\"-\" level=error msg={message:?}");
    ExitCode::from(code)
}

/// `k6 archive SCRIPT -O FILE`.
fn archive(args: &[String]) -> Result<(), String> {
    let script = args.get(1).ok_or("no script")?;
    let text = fs::read_to_string(script).map_err(|error| format!("{script}: {error}"))?;
    let target = value_of(args, "-O").ok_or("no -O")?;
    fs::write(target, text).map_err(|error| format!("{target}: {error}"))
}

/// `k6 inspect --execution-requirements FILE`: JSON on stdout, which k6-operator parses.
fn inspect(args: &[String]) -> Result<(), String> {
    let archive = args.last().ok_or("no archive")?;
    if !Path::new(archive).exists() {
        return Err(format!("{archive}: no such file"));
    }
    let answer = serde_json::json!({
        "paused": null, "vus": 2, "duration": "1s", "thresholds": { "http_req_failed": ["rate==0"] },
        "totalDuration": "31s", "maxVUs": 2,
    });
    println!("{answer:#}");
    Ok(())
}

/// `k6 run … --address=HOST:PORT --paused`: waits to be started, then needs its network to the end.
fn run(args: &[String]) -> ExitCode {
    let address = args.iter().find_map(|arg| arg.strip_prefix("--address="));
    let Some(address) = address.and_then(|text| text.parse::<SocketAddr>().ok()) else {
        return fail("no --address", CANNOT_START);
    };
    let api = match StatusApi::start(address, args.iter().any(|arg| arg == "--paused")) {
        Ok(api) => api,
        Err(error) => return fail(&format!("{address}: {error}"), CANNOT_START),
    };
    api.wait_until_resumed();
    let (start, mut requests, mut failed) = (Instant::now(), 0_u32, 0_u32);
    while start.elapsed() < TEST {
        requests += 1;
        failed += u32::from(!has_network());
        thread::sleep(ITERATION);
    }
    println!("http_req_failed: {failed} out of {requests}");
    if failed > 0 {
        return fail("thresholds on metrics 'http_req_failed' have been crossed", THRESHOLDS_CROSSED);
    }
    ExitCode::SUCCESS
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == flag)?;
    args.get(at + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_what_inspect_wants() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("test.js"), "//").unwrap();
        let args = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert!(inspect(&args(&["inspect", &path("a.tar")])).is_err());
        archive(&args(&["archive", &path("test.js"), "-O", &path("a.tar")])).unwrap();
        assert!(inspect(&args(&["inspect", "--execution-requirements", &path("a.tar")])).is_ok());
        assert!(archive(&args(&["archive"])).is_err());
    }
}
