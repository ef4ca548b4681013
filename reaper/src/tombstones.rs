//! Which mains of the pod are finished: one empty file each, in a directory they share.
//!
//! Writing comes before counting, so of two that end at the same moment at least one sees both. Both may, and then
//! both quit the proxies, which harms nobody.

use std::{
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// Left beside the tombstones once every proxy is gone.
const MARKER: &str = "quit";
/// Ends a tombstone's name, so that none is taken for the marker, nor a file of the command's own for a tombstone.
const SUFFIX: &str = ".done";

/// All mains of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mains {
    directory: PathBuf,
    count: usize,
}

/// This main's place among all of the pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tombstones {
    pub(crate) mains: Mains,
    pub(crate) name: String,
}

// === impl Mains ===

impl Mains {
    /// `count` of them, which share `directory`.
    pub(crate) fn new(directory: PathBuf, count: usize) -> Self {
        Self { directory, count }
    }

    /// Where they leave their tombstones.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether all are finished, as it is now: one that runs again has taken its tombstone away.
    pub(crate) fn are_finished(&self) -> io::Result<bool> {
        let mut found = 0;
        for entry in fs::read_dir(&self.directory)? {
            found += usize::from(entry?.file_name().as_bytes().ends_with(SUFFIX.as_bytes()));
        }
        Ok(found >= self.count)
    }

    /// Whether the last of them has seen every proxy gone.
    pub(crate) fn saw_proxies_gone(&self) -> bool {
        access(self.marker(), Access::EXISTS).is_ok()
    }

    fn marker(&self) -> PathBuf {
        self.directory.join(MARKER)
    }
}

// === impl Tombstones ===

impl Tombstones {
    /// This main is about to run, maybe again, so neither it nor the pod is finished, whatever was written before.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for file in [self.file(), self.mains.marker()] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // A missing directory is found out now, while there is time to mend it, not when the work is done.
        fs::metadata(&self.mains.directory).map(drop)
    }

    /// Declares this main finished; true if all are now.
    pub(crate) fn write_and_count(&self) -> io::Result<bool> {
        fs::write(self.file(), [])?;
        self.mains.are_finished()
    }

    fn file(&self) -> PathBuf {
        self.mains.directory.join(format!("{}{SUFFIX}", self.name))
    }

    /// Tells the reaper, and whoever looks, that the proxies are gone.
    pub(crate) fn mark(&self) -> io::Result<()> {
        // Another main, of another user, may have seen it, too.
        match File::create_new(self.mains.marker()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}
