//! The termination message.

use std::{ffi::OsString, fs};

use tempfile::NamedTempFile;

/// A file for `--message`, empty as the kubelet makes it.
pub struct MessageFile(NamedTempFile);

impl MessageFile {
    pub fn empty() -> Self {
        Self(NamedTempFile::new().expect("a temporary file"))
    }

    pub fn args(&self) -> [OsString; 2] {
        ["--message".into(), self.0.path().into()]
    }

    pub fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    pub fn read(&self) -> String {
        fs::read_to_string(self.0.path()).expect("read the message")
    }

    /// The one line in it.
    pub fn line(&self) -> String {
        let text = self.read();
        assert!(text.starts_with("curfew-reaper: ") && text.ends_with('\n'), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
        text
    }
}
