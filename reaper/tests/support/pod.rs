//! What a pod has around its reaper.

use std::{
    cell::Cell,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{Place, Wrapper};

pub const UID: &str = "3b0a7a52-9f4b-4d6e-8d0f-6f1f4f6d0c11";
pub const OTHER_UID: &str = "3b0a7a52-9f4b-4d6e-8d0f-6f1f4f6d0c12";

/// The volumes of a pod: `done` as the kubelet projects an annotation, and the one its mains share.
pub struct Pod {
    here: tempfile::TempDir,
    swaps: Cell<u32>,
}

impl Pod {
    /// One without the annotation, which is an empty file.
    pub fn new() -> Self {
        let pod = Self::without_done();
        fs::create_dir(pod.done_directory()).expect("create");
        pod.project("");
        pod
    }

    /// One whose volume with `done` is not there.
    pub fn without_done() -> Self {
        let here = super::directory();
        fs::create_dir(here.path().join("run")).expect("create");
        Self { here, swaps: Cell::new(0) }
    }

    pub fn done_directory(&self) -> PathBuf {
        self.here.path().join("done")
    }

    pub fn done(&self) -> PathBuf {
        self.done_directory().join("done")
    }

    pub fn run(&self) -> PathBuf {
        self.here.path().join("run")
    }

    /// Swaps in another content as the kubelet does: a directory of its own, and a symlink renamed over the last.
    pub fn project(&self, content: impl AsRef<[u8]>) {
        let (directory, swap) = (self.done_directory(), self.swaps.get() + 1);
        self.swaps.set(swap);
        let last = fs::read_link(directory.join("..data"));
        let next = format!("..2026_11_21_{swap}");
        fs::create_dir(directory.join(&next)).expect("create");
        fs::write(directory.join(&next).join("done"), content).expect("write");
        symlink(&next, directory.join("..data_tmp")).expect("link");
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).expect("rename");
        if fs::symlink_metadata(self.done()).is_err() {
            symlink("..data/done", self.done()).expect("link");
        }
        if let Ok(last) = last {
            fs::remove_dir_all(directory.join(last)).expect("remove");
        }
    }

    pub fn leave_tombstone(&self, main: &str) {
        fs::write(self.run().join(format!("{main}.done")), []).expect("write");
    }

    pub fn remove_tombstone(&self, main: &str) {
        fs::remove_file(self.run().join(format!("{main}.done"))).expect("remove");
    }

    pub fn leave_marker(&self) {
        fs::write(self.run().join("quit"), []).expect("write");
    }

    /// `reap` for this pod, by `done` alone.
    pub fn reaper(&self, place: Place) -> Wrapper {
        Wrapper::raw(place).args(["reap", "--uid", UID, "--done"]).args([self.done()])
    }

    /// `reap` for this pod with as many mains that leave tombstones.
    pub fn reaper_beside(&self, place: Place, mains: usize) -> Wrapper {
        self.reaper(place).args(tombstones(&self.run(), mains))
    }

    /// `await` for one of them.
    pub fn wrapper(&self, main: &str, mains: usize) -> Wrapper {
        Wrapper::new(Place::Plain).args(["--name", main]).args(tombstones(&self.run(), mains))
    }
}

fn tombstones(directory: &Path, mains: usize) -> [OsString; 4] {
    ["--mains".into(), mains.to_string().into(), "--tombstones".into(), directory.into()]
}
