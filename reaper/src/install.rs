//! `install`: puts this very program where the pod's other containers find it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process,
};

use crate::message::{self, Message};

const NAME: &str = "curfew-reaper";

/// Copies this program into `directory`; the exit code.
///
/// This runs in an init container of our own, so unlike `await` it may speak: on stderr, and in the termination log
/// where there is one.
pub(crate) fn install(directory: &Path) -> u8 {
    let Err(error) = copy_into(directory) else { return 0 };
    let remark = format!("cannot install into {}: {error}", directory.display());
    let _ = writeln!(io::stderr(), "{NAME}: {remark}");
    let mut message = Message::new(message::termination_log());
    message.note(remark);
    message.write();
    1
}

/// Under another name first: a container that starts meanwhile finds all of it or nothing, and one that runs from
/// an earlier copy keeps that.
fn copy_into(directory: &Path) -> io::Result<()> {
    let temporary = directory.join(format!(".{NAME}.{}", process::id()));
    let copied = fs::copy("/proc/self/exe", &temporary)
        .and_then(|_| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&temporary, directory.join(NAME)));
    if copied.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    copied
}
