//! Which mains of the pod are finished: one empty file each, in a directory they share.
//!
//! Writing comes before counting, so of two that end at the same moment at least one sees both. Both may, and then
//! both quit the proxies, which harms nobody.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Left beside the tombstones once every proxy is gone.
const MARKER: &str = "quit";
/// Ends a tombstone's name, so that none is taken for the marker, nor a file of the command's own for a tombstone.
const SUFFIX: &str = ".done";

/// This main's place among all of the pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tombstones {
    pub(crate) directory: PathBuf,
    pub(crate) mains: usize,
    pub(crate) name: String,
}

// === impl Tombstones ===

impl Tombstones {
    /// This main is about to run, maybe again, so neither it nor the pod is finished, whatever was written before.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for file in [self.file(), self.directory.join(MARKER)] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // A missing directory is found out now, while there is time to mend it, not when the work is done.
        fs::metadata(&self.directory).map(drop)
    }

    /// Declares this main finished; true if all are now.
    pub(crate) fn write_and_count(&self) -> io::Result<bool> {
        fs::write(self.file(), [])?;
        Ok(count(&self.directory)? >= self.mains)
    }

    fn file(&self) -> PathBuf {
        self.directory.join(format!("{}{SUFFIX}", self.name))
    }

    /// Tells the reaper, and whoever looks, that the proxies are gone.
    pub(crate) fn mark(&self) -> io::Result<()> {
        fs::write(self.directory.join(MARKER), [])
    }
}

fn count(directory: &Path) -> io::Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(directory)? {
        found += usize::from(entry?.file_name().as_bytes().ends_with(SUFFIX.as_bytes()));
    }
    Ok(found)
}
