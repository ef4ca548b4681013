//! What the supervisor has to say about itself: one line in the container's termination message, and nowhere else.

use std::{
    fmt::Display,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    panic,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// The kubelet keeps 4096 bytes of all containers' messages together at worst; a line needs no more than this.
const LONGEST: usize = 1024;

/// Remarks, gathered until the end so that they make one line.
#[derive(Debug)]
pub(crate) struct Message {
    file: Option<PathBuf>,
    remarks: String,
}

// === impl Message ===

impl Message {
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Self { file, remarks: String::new() }
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, remark: impl Display) {
        if !self.remarks.is_empty() {
            self.remarks.push_str("; ");
        }
        self.remarks.push_str(&remark.to_string());
    }

    /// Writes the line if there is anything to say. If it cannot be written there is nobody left to tell.
    pub(crate) fn write(&self) {
        if let Some(file) = self.file.as_ref().filter(|_| !self.remarks.is_empty()) {
            append_if_empty(file, &self.remarks);
        }
    }
}

/// Where a container that was told of no other place leaves its message, if there is such a place.
pub(crate) fn termination_log() -> Option<PathBuf> {
    // The default of `terminationMessagePath`.
    let file = Path::new("/dev/termination-log");
    access(file, Access::EXISTS).is_ok().then(|| file.to_owned())
}

/// Keeps panics off both streams; with a file, where it happened is left there.
///
/// Nothing in this crate panics on purpose. Should it happen all the same, the release build aborts.
pub(crate) fn silence_panics(file: Option<PathBuf>) {
    panic::set_hook(Box::new(move |panic| {
        if let (Some(file), Some(place)) = (&file, panic.location()) {
            append_if_empty(file, &format!("internal error at {place}"));
        }
    }));
}

fn append_if_empty(file: &Path, remarks: &str) {
    // Never truncating, so nothing of the command's is lost even if it writes at this moment; never waiting,
    // should somebody have put a pipe there.
    let opened = OpenOptions::new().append(true).create(true).custom_flags(libc::O_NONBLOCK).open(file);
    let Ok(mut file) = opened else { return };
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        let mut line = String::from("curfew-reaper: ");
        let printable = remarks.chars().map(|c| if c.is_control() { ' ' } else { c });
        line.extend(printable.take(LONGEST));
        line.push('\n');
        let _ = file.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process::Command};

    use super::*;

    fn file_with(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(file.path(), content).expect("write");
        file
    }

    fn written_over(content: &str, remarks: &[&str]) -> String {
        let file = file_with(content);
        let mut message = Message::new(Some(file.path().to_owned()));
        remarks.iter().for_each(|remark| message.note(remark));
        message.write();
        fs::read_to_string(file.path()).expect("read")
    }

    #[test]
    fn remarks_make_one_line() {
        assert_eq!(written_over("", &["a", "b\nc"]), "curfew-reaper: a; b c\n");
        assert_eq!(written_over("", &[]), "");
        assert!(written_over("", &["é".repeat(5000).as_str()]).len() < 3 * LONGEST);
    }

    #[test]
    fn what_the_command_wrote_stays() {
        assert_eq!(written_over("mine", &["a"]), "mine");
    }

    /// Panics only in the process the test below starts.
    #[test]
    fn panics_where_it_is_told_to() {
        if let Some(file) = env::var_os("CURFEW_PANIC_MESSAGE") {
            silence_panics(Some(PathBuf::from(file)));
            panic!("nobody must read this");
        }
    }

    #[test]
    fn a_panic_is_heard_nowhere_but_in_the_message() {
        let file = file_with("");
        let output = Command::new(env::current_exe().expect("own path"))
            .args(["--exact", "message::tests::panics_where_it_is_told_to", "--nocapture"])
            .env("CURFEW_PANIC_MESSAGE", file.path())
            .output()
            .expect("run");
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("nobody"));
        let message = fs::read_to_string(file.path()).expect("read");
        assert!(message.starts_with("curfew-reaper: internal error at reaper/src/message.rs:"), "{message}");
    }
}
