//! Under the name `linkerd-await`: that program's flags and variables, as an order to wait for Linkerd's proxy.
//!
//! Where what it does and what its users were after differ, the latter is done: the shutdown is tried again and seen
//! through, every signal reaches the command, and how the command ended is told as a shell tells it (128+n, 126, 127,
//! where that program says 71 for all three). 69 for a proxy that is never ready is the same in both.

use std::{
    ffi::{CString, OsString},
    os::unix::ffi::OsStringExt,
    path::Path,
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    args::{Await, OnTimeout, Order, text},
    duration,
    endpoint::Endpoint,
    message,
};

/// The name.
pub(crate) const NAME: &str = "linkerd-await";

const USAGE: &str = "\
linkerd-await [-p PORT] [-t D] [--timeout-fatal=true|false] [-S] [-v] [-b D] [--] [COMMAND...]
    Waits until Linkerd's proxy is ready (127.0.0.1:PORT, 4191 if not given; for ever, or -t), runs COMMAND, and with
    -S shuts the proxy down afterwards. LINKERD_AWAIT_DISABLED or LINKERD_DISABLED, if not empty, spare it the wait.
    This is curfew-reaper under another name: -v and -b mean nothing to it, and it never writes a log.
    Exit code: COMMAND's own; 128+n after signal n; 126 not executable; 127 not found; 69 proxy never ready;
    64 wrong usage.
";
const VERSION: &str = concat!("linkerd-await, by curfew-reaper ", env!("CARGO_PKG_VERSION"), "\n");
/// Either spares the wait if it has a value.
const DISABLED: [&str; 2] = ["LINKERD_AWAIT_DISABLED", "LINKERD_DISABLED"];

/// Whether a program that was called `program` goes by this name.
pub(crate) fn is_named(program: Option<&OsString>) -> bool {
    program.is_some_and(|program| Path::new(program).file_name().is_some_and(|name| name == NAME))
}

/// Reads that program's command line, without its name; `variable` reads the environment.
pub(crate) fn read(mut parser: Parser, variable: impl Fn(&str) -> Option<OsString>) -> Result<Order, String> {
    let (mut port, mut shuts_down) = (4191, false);
    let mut order = Await {
        // For ever, unless it is told otherwise.
        timeout: Duration::MAX,
        message: message::termination_log(),
        // Commands that run with and without Linkerd are wrapped in it too.
        sidecars_are_optional: true,
        ..Await::default()
    };
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Arg::Short('p') | Arg::Long("port") => {
                let value = parser.value().and_then(|value| value.string()).map_err(text)?;
                port = value.parse().map_err(|_| format!("--port {value}: write a port's number"))?;
            }
            Arg::Short('t') | Arg::Long("timeout") => order.timeout = read_timeout(&mut parser)?,
            Arg::Short('b') | Arg::Long("backoff") => {
                read_duration("backoff", &mut parser)?;
            }
            Arg::Long("timeout-fatal") => order.on_timeout = read_fatal(&mut parser)?,
            Arg::Short('S') | Arg::Long("shutdown") => shuts_down = true,
            Arg::Short('v') | Arg::Long("verbose") => {}
            Arg::Short('h') | Arg::Long("help") => return Ok(Order::Say(USAGE.to_owned())),
            Arg::Short('V') | Arg::Long("version") => return Ok(Order::Say(VERSION.to_owned())),
            // All behind the command is the command's, whatever it looks like.
            Arg::Value(program) => {
                let words = [program].into_iter().chain(parser.raw_args().map_err(text)?);
                order.command = words.filter_map(|word| CString::new(word.into_vec()).ok()).collect();
                break;
            }
            _ => return Err(argument.unexpected().to_string()),
        }
    }
    if shuts_down && order.command.is_empty() {
        return Err("--shutdown needs a command".to_owned());
    }
    let at = |path: &str| endpoint(port, path);
    // The proxy may be there all the same, and -S was asked for: disabled is the wait.
    if !DISABLED.iter().any(|name| variable(name).is_some_and(|value| !value.is_empty())) {
        order.ready.push(at("ready")?);
    }
    if shuts_down {
        order.shutdown.push(at("shutdown")?);
    }
    Ok(Order::Await(Box::new(order)))
}

fn endpoint(port: u16, path: &str) -> Result<Endpoint, String> {
    format!("http://127.0.0.1:{port}/{path}").parse().map_err(|error| format!("--port {port}: {error}"))
}

/// `0` is none, which means for ever.
fn read_timeout(parser: &mut Parser) -> Result<Duration, String> {
    let timeout = read_duration("timeout", parser)?;
    Ok(if timeout.is_zero() { Duration::MAX } else { timeout })
}

fn read_duration(flag: &str, parser: &mut Parser) -> Result<Duration, String> {
    const DAY: u64 = 86_400;
    let value = parser.value().and_then(|value| value.string()).map_err(text)?;
    let days = value.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(DAY));
    let duration = match value.as_str() {
        "0" => Some(Duration::ZERO),
        _ => days.map(Duration::from_secs).or_else(|| duration::parse(&value)),
    };
    duration.ok_or_else(|| format!("--{flag} {value}: write it like 500ms, 60s, 2m, 1h or 1d"))
}

/// Its value stands in the same word, so that the next one can be the command.
fn read_fatal(parser: &mut Parser) -> Result<OnTimeout, String> {
    match parser.optional_value().map(|value| value.string()).transpose().map_err(text)?.as_deref() {
        None | Some("true") => Ok(OnTimeout::Fail),
        Some("false") => Ok(OnTimeout::Run),
        Some(value) => Err(format!("--timeout-fatal={value}: write true or false")),
    }
}
