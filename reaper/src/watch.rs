//! Noticing that something in a directory has changed, without looking again and again.

use std::{io, mem::MaybeUninit, path::Path};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
};

/// Whatever makes a file appear or its content another. The kubelet swaps a symlink beside the file (MOVED_TO), so it
/// is the directory that has to be watched. Its own end is noticed to find the next one under its name.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Some directories that are watched, as far as that is possible.
pub(crate) struct Watch<'a> {
    directories: Vec<&'a Path>,
    inotify: Option<OwnedFd>,
}

// === impl Watch ===

impl<'a> Watch<'a> {
    pub(crate) fn new(directories: Vec<&'a Path>) -> Self {
        Self { directories, inotify: None }
    }

    /// Forgets what was noticed, and watches whatever can be; call it, then look. Where it fails, nothing there will
    /// be noticed before it is called again.
    ///
    /// Of instances a node gives each user no more than 128, so that the first call can fail in a healthy pod.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        let inotify = match self.inotify.take() {
            Some(inotify) => inotify,
            None => inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
        };
        let inotify = self.inotify.insert(inotify);
        let mut space = [MaybeUninit::uninit(); 1024];
        let mut events = Reader::new(&*inotify, &mut space);
        while events.next().is_ok() {}
        // Again each time: it changes nothing for one already watched, and finds one that has taken another's place.
        let mut all = Ok(0);
        for directory in &self.directories {
            all = all.and(inotify::add_watch(&*inotify, *directory, CHANGES));
        }
        all.map(drop).map_err(io::Error::from)
    }

    /// Readable when something was noticed.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }
}
