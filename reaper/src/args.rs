//! The command line.

mod reap;

use std::{
    env,
    ffi::{CString, OsString},
    fmt::Display,
    io::{self, Write},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt};

pub(crate) use self::reap::Reap;
use crate::{
    duration,
    endpoint::Endpoint,
    kill_rule::ExitCodes,
    linkerd_await,
    message::{self, Message},
    tombstones::{Mains, Tombstones},
};

const USAGE: &str = "\
curfew-reaper await [--ready URL]... [--shutdown-first URL]... [--shutdown URL]... [--timeout D]
                    [--on-timeout fail|run] [--quit-on always|success|CODES]
                    [--tombstones DIR --mains N --name S] [--message FILE] [-- COMMAND...]
    Waits until every --ready URL answers 2xx (--timeout, 60s if not given; then exit 69, or run all the same),
    runs COMMAND, and if it ended with one of the exit codes --quit-on (as 0-2,5,7-255; always if not given) posts
    to the --shutdown-first URLs, then to the --shutdown URLs, until their ports are closed. With --tombstones only
    the last of N containers does. Without COMMAND it waits and is done. A URL may carry a method, as in
    GET=http://127.0.0.1:4191/shutdown, and is on loopback. Nothing is ever written to stdout or stderr; failures
    go to --message while that file is empty.
    Exit code: COMMAND's own; 128+n after signal n; 126 not executable; 127 not found; 69 proxy never ready;
    64 wrong usage.
curfew-reaper reap --done FILE --uid UID [--tombstones DIR --mains N] [--shutdown-first URL]... [--shutdown URL]...
                   [--message FILE]
    Waits until FILE holds UID or all N containers have left their tombstones, then quits the sidecars in the same way.
    Exit code: 0, whatever happens; 64 wrong usage.
curfew-reaper install DIR
    Copies this program to DIR/curfew-reaper.
curfew-reaper version
curfew-reaper help
Called linkerd-await it takes that program's flags: linkerd-await --help.
";

/// EX_USAGE of sysexits(3).
const WRONG_USAGE: u8 = 64;

/// What the command line asks for.
pub(crate) enum Order {
    Await(Box<Await>),
    Reap(Box<Reap>),
    Install(PathBuf),
    Say(String),
}

/// Everything `await` can be told.
#[derive(Default)]
pub(crate) struct Await {
    pub(crate) ready: Vec<Endpoint>,
    pub(crate) shutdown_first: Vec<Endpoint>,
    pub(crate) shutdown: Vec<Endpoint>,
    pub(crate) timeout: Duration,
    pub(crate) on_timeout: OnTimeout,
    pub(crate) quit_on: ExitCodes,
    pub(crate) tombstones: Option<Tombstones>,
    /// A sidecar that refuses is none, instead of one that is not up yet.
    pub(crate) sidecars_are_optional: bool,
    pub(crate) message: Option<PathBuf>,
    /// Empty for the gate.
    pub(crate) command: Vec<CString>,
}

/// What to do when a proxy is not ready in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnTimeout {
    #[default]
    Fail,
    Run,
}

/// A command line that cannot be read.
pub(crate) struct WrongUsage {
    name: &'static str,
    reason: String,
    /// The streams are the command's, so the reason goes to the message, if there is one.
    quiet: bool,
    message: Option<PathBuf>,
}

// === impl WrongUsage ===

impl WrongUsage {
    /// Says why, where that is allowed; the exit code.
    pub(crate) fn report(self) -> u8 {
        let Self { name, reason, quiet, message } = self;
        if !quiet {
            let _ = writeln!(io::stderr(), "{name}: {reason}; see {name} --help");
        }
        let mut message = Message::new(message);
        message.note(reason);
        message.write();
        WRONG_USAGE
    }
}

/// Reads the command line, the program's name in front.
pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Order, WrongUsage> {
    let args: Vec<OsString> = args.collect();
    if linkerd_await::is_named(args.first()) {
        let order = linkerd_await::read(Parser::from_args(args.iter().skip(1)), |name| env::var_os(name));
        let wrong = |reason| WrongUsage {
            name: linkerd_await::NAME,
            reason,
            quiet: false,
            message: message::termination_log(),
        };
        return order.map_err(wrong);
    }
    let subcommand = args.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let parser = Parser::from_args(args.iter().skip(2));
    let result = match subcommand {
        "await" => read_await(parser).map(|order| Order::Await(Box::new(order))),
        "reap" => reap::read(parser).map(|order| Order::Reap(Box::new(order))),
        "install" => read_directory(parser).map(Order::Install),
        "version" => Ok(Order::Say(format!("curfew-reaper {}\n", env!("CARGO_PKG_VERSION")))),
        "help" | "--help" | "-h" => Ok(Order::Say(USAGE.to_owned())),
        _ => Err("expected await, reap, install, version or help".to_owned()),
    };
    let quiet = subcommand == "await";
    result.map_err(|reason| WrongUsage {
        name: "curfew-reaper",
        reason,
        quiet,
        message: ["await", "reap"].contains(&subcommand).then(|| find_message(&args)).flatten(),
    })
}

fn read_await(mut parser: Parser) -> Result<Await, String> {
    let mut order = Await { timeout: Duration::from_secs(60), ..Await::default() };
    let (mut directory, mut mains, mut name) = (None, None, None);
    loop {
        // lexopt tells nobody whether it has passed a `--`, and only what stands behind one is the command.
        if let Some(command) = behind_dashes(&mut parser)? {
            order.command = command;
            break;
        }
        let Some(argument) = parser.next().map_err(text)? else { break };
        let Arg::Long(flag) = argument else { return Err(argument.unexpected().to_string()) };
        let flag = flag.to_owned();
        let mut value = || parser.value().map_err(text);
        match flag.as_str() {
            "ready" => order.ready.push(read_value(&flag, value()?)?),
            "shutdown-first" => order.shutdown_first.push(read_value(&flag, value()?)?),
            "shutdown" => order.shutdown.push(read_value(&flag, value()?)?),
            "timeout" => order.timeout = read_timeout(value()?)?,
            "on-timeout" => order.on_timeout = read_value(&flag, value()?)?,
            "quit-on" => order.quit_on = read_value(&flag, value()?)?,
            "tombstones" => directory = Some(PathBuf::from(value()?)),
            "mains" => mains = Some(read_value(&flag, value()?)?),
            "name" => name = Some(value()?.string().map_err(text)?),
            "message" => order.message = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown flag --{flag}")),
        }
    }
    order.tombstones = read_tombstones(directory, mains, name)?;
    let gate = order.command.is_empty();
    if gate && !(order.shutdown_first.is_empty() && order.shutdown.is_empty() && order.tombstones.is_none()) {
        return Err("--shutdown, --shutdown-first and --tombstones need a command behind --".to_owned());
    }
    Ok(order)
}

/// The command, if the next argument is `--`.
fn behind_dashes(parser: &mut Parser) -> Result<Option<Vec<CString>>, String> {
    let Some(mut raw) = parser.try_raw_args() else { return Ok(None) };
    if raw.next_if(|argument| argument == "--").is_none() {
        return Ok(None);
    }
    // The kernel ends each at its first zero byte, so none can be inside.
    let command: Vec<_> = raw.filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    // To take this for the gate would let a lost command end in success.
    if command.is_empty() { Err("no command behind --".to_owned()) } else { Ok(Some(command)) }
}

fn read_tombstones(
    directory: Option<PathBuf>,
    mains: Option<usize>,
    name: Option<String>,
) -> Result<Option<Tombstones>, String> {
    match (directory, mains, name) {
        (None, None, None) => Ok(None),
        (Some(_), Some(0), Some(_)) => Err("--mains counts this one too, so it is 1 at least".to_owned()),
        (Some(directory), Some(mains), Some(name)) => {
            if name.is_empty() || name.contains('/') {
                return Err(format!("--name {name:?} cannot name a tombstone"));
            }
            Ok(Some(Tombstones { mains: Mains::new(directory, mains), name }))
        }
        _ => Err("--tombstones, --mains and --name go together".to_owned()),
    }
}

fn read_timeout(value: OsString) -> Result<Duration, String> {
    let value = value.string().map_err(text)?;
    duration::parse(&value)
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| format!("--timeout {value}: write it like 60s, 1m30s or 500ms; there is always one"))
}

fn read_value<T: FromStr<Err: Display>>(flag: &str, value: OsString) -> Result<T, String> {
    let value = value.string().map_err(text)?;
    value.parse().map_err(|error| format!("--{flag} {value}: {error}"))
}

fn read_directory(mut parser: Parser) -> Result<PathBuf, String> {
    let directory = parser.value().map_err(|_| "install takes one directory".to_owned())?;
    match parser.next() {
        Ok(None) => Ok(PathBuf::from(directory)),
        _ => Err("install takes one directory and nothing else".to_owned()),
    }
}

/// `--message` of a command line that as a whole cannot be read.
fn find_message(args: &[OsString]) -> Option<PathBuf> {
    let mut flags = args.iter().take_while(|argument| *argument != "--");
    while let Some(flag) = flags.next() {
        if flag == "--message" {
            return flags.next().map(PathBuf::from);
        }
        if let Some(file) = flag.to_str().and_then(|flag| flag.strip_prefix("--message=")) {
            return Some(PathBuf::from(file));
        }
    }
    None
}

/// For people.
pub(crate) fn text(error: lexopt::Error) -> String {
    error.to_string()
}

impl FromStr for OnTimeout {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fail" => Ok(Self::Fail),
            "run" => Ok(Self::Run),
            _ => Err("write fail or run"),
        }
    }
}
