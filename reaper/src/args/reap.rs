//! The command line of `reap`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::{read_value, text};
use crate::{endpoint::Endpoint, tombstones::Mains};

/// Everything `reap` can be told.
pub(crate) struct Reap {
    pub(crate) done: PathBuf,
    /// The only pod whose `done` is obeyed.
    pub(crate) uid: String,
    pub(crate) mains: Option<Mains>,
    pub(crate) shutdown_first: Vec<Endpoint>,
    pub(crate) shutdown: Vec<Endpoint>,
    pub(crate) message: Option<PathBuf>,
}

pub(super) fn read(mut parser: Parser) -> Result<Reap, String> {
    let (mut done, mut uid, mut directory, mut mains, mut message) = (None, None, None, None, None);
    let (mut shutdown_first, mut shutdown) = (Vec::new(), Vec::new());
    while let Some(argument) = parser.next().map_err(text)? {
        let Arg::Long(flag) = argument else { return Err(argument.unexpected().to_string()) };
        let flag = flag.to_owned();
        let mut value = || parser.value().map_err(text);
        match flag.as_str() {
            "done" => done = Some(PathBuf::from(value()?)),
            "uid" => uid = Some(value()?.string().map_err(text)?),
            "tombstones" => directory = Some(PathBuf::from(value()?)),
            "mains" => mains = Some(read_value(&flag, value()?)?),
            "shutdown-first" => shutdown_first.push(read_value(&flag, value()?)?),
            "shutdown" => shutdown.push(read_value(&flag, value()?)?),
            "message" => message = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown flag --{flag}")),
        }
    }
    let mains = match (directory, mains) {
        (None, None) => None,
        (Some(_), Some(0)) => return Err("--mains 0: there is one at least".to_owned()),
        (Some(directory), Some(mains)) => Some(Mains::new(directory, mains)),
        _ => return Err("--tombstones and --mains go together".to_owned()),
    };
    let (Some(done), Some(uid)) = (done, uid) else { return Err("--done and --uid are needed".to_owned()) };
    // An empty file would be obeyed, and that is what it is while the mains run.
    if uid.trim_ascii().is_empty() {
        return Err("--uid is empty: it says whose pod this is".to_owned());
    }
    let uid = uid.trim_ascii().to_owned();
    Ok(Reap { done, uid, mains, shutdown_first, shutdown, message })
}
