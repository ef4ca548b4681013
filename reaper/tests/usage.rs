//! What the command line takes, and what it says to the rest.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::{Command, Output},
};

use support::{MessageFile, Place, Wrapper, binary, directory, program};

fn plainly(arguments: &[&str]) -> Output {
    let program = program();
    Command::new(&program[0]).args(&program[1..]).args(arguments).output().expect("run")
}

#[test]
fn a_wrong_command_line_is_64_and_named_in_the_message() {
    for (arguments, reason) in [
        (&["--bogus", "--", "true"][..], "unknown flag --bogus"),
        (&["-x", "--", "true"], "-x"),
        (&["true"], "true"),
        (&["--ready"], "--ready"),
        (
            &["--ready", "https://127.0.0.1/", "--", "true"],
            "--ready https://127.0.0.1/: only http:// is spoken",
        ),
        (&["--ready", "http://10.0.0.1/", "--", "true"], "only 127.0.0.0/8, [::1] and localhost are allowed"),
        (&["--shutdown", "POST=http://proxy.example/", "--", "true"], "only 127.0.0.0/8"),
        (&["--shutdown-first", "http://[::2]/", "--", "true"], "only 127.0.0.0/8"),
        (&["--timeout", "0s", "--", "true"], "--timeout 0s"),
        (&["--timeout", "60", "--", "true"], "--timeout 60"),
        (&["--on-timeout", "wait", "--", "true"], "--on-timeout wait: write fail or run"),
        (&["--quit-on", "256", "--", "true"], "--quit-on 256"),
        (&["--quit-on", "never", "--", "true"], "--quit-on never"),
        (&["--tombstones", "/tmp", "--", "true"], "go together"),
        (&["--tombstones", "/tmp", "--mains", "0", "--name", "a", "--", "true"], "--mains"),
        (&["--tombstones", "/tmp", "--mains", "x", "--name", "a", "--", "true"], "--mains x"),
        (&["--tombstones", "/tmp", "--mains", "1", "--name", "../a", "--", "true"], "--name"),
        (&["--tombstones", "/tmp", "--mains", "1", "--name", "a/b", "--", "true"], "--name"),
        (&["--shutdown", "http://127.0.0.1:1/"], "need a command"),
        (&["--"], "no command behind --"),
    ] {
        for as_two in [true, false] {
            let message = MessageFile::empty();
            let wrapper = Wrapper::new(Place::Plain);
            let wrapper = if as_two {
                wrapper.args(message.args())
            } else {
                wrapper.args([format!("--message={}", message.path())])
            };
            let ended = wrapper.args(arguments).run();
            assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{arguments:?}");
            assert!(message.line().contains(reason), "{arguments:?}: {}", message.line());
        }
    }
}

#[test]
fn a_message_flag_of_the_commands_is_not_ours() {
    let message = MessageFile::empty();
    let ended = Wrapper::new(Place::Plain).args(["--bogus", "--", "true"]).args(message.args()).run();
    assert_eq!(ended.code, 64);
    assert_eq!(message.read(), "");
}

#[test]
fn flags_may_stand_in_one_word() {
    let ended = Wrapper::new(Place::Plain)
        .args(["--timeout=1m30s", "--quit-on=0-3", "--on-timeout=fail"])
        .shell("exit 3");
    assert_eq!(ended.run().code, 3);
}

#[test]
fn the_other_subcommands_speak() {
    let version = plainly(&["version"]);
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("curfew-reaper {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = plainly(&["help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--shutdown-first"));
    for arguments in [&[][..], &["reap"], &["--bogus"], &["install"], &["install", "/a", "/b"]] {
        let output = plainly(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_of_the_reaper_is_64_and_said_in_both_places() {
    let (done, uid) = ("--done=/no/such/place/done", "--uid=a");
    for (arguments, reason) in [
        (&[][..], "--done and --uid are needed"),
        (&[done], "--done and --uid are needed"),
        (&[uid], "--done and --uid are needed"),
        (&[done, "--uid="], "--uid is empty"),
        (&[done, "--uid= "], "--uid is empty"),
        (&[done, uid, "--shutdown", "http://10.0.0.1/"], "--shutdown http://10.0.0.1/: only 127.0.0.0/8"),
        (
            &[done, uid, "--shutdown-first", "http://proxy/"],
            "--shutdown-first http://proxy/: only 127.0.0.0/8",
        ),
        (&[done, uid, "--tombstones", "/tmp"], "go together"),
        (&[done, uid, "--mains", "1"], "go together"),
        (&[done, uid, "--tombstones", "/tmp", "--mains", "0"], "--mains 0"),
        (&[done, uid, "--tombstones", "/tmp", "--mains", "-1"], "--mains -1"),
        (&[done, uid, "--bogus"], "unknown flag --bogus"),
        (&[done, uid, "--", "true"], "true"),
    ] {
        let message = MessageFile::empty();
        let mut words = vec!["reap", "--message"];
        let file = message.path();
        words.push(&file);
        words.extend(arguments);
        let output = plainly(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{arguments:?}");
        assert!(said.starts_with("curfew-reaper: ") && said.contains(reason), "{arguments:?}: {said}");
        assert!(message.line().contains(reason), "{arguments:?}: {}", message.line());
    }
}

#[test]
fn install_puts_a_working_copy_in_place_again_and_again() {
    let here = directory();
    let copy = here.path().join("curfew-reaper");
    let mut inodes = Vec::new();
    for _ in 0..2 {
        let output = plainly(&["install", here.path().to_str().expect("a path")]);
        assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
        let metadata = fs::metadata(&copy).expect("the copy");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
        inodes.push(metadata.ino());
        assert_eq!(fs::read(&copy).expect("read"), fs::read(binary()).expect("read"));
    }
    assert_ne!(inodes[0], inodes[1], "replaced, not written over: somebody may be running it");
    assert_eq!(fs::read_dir(&here).expect("list").count(), 1, "nothing else is left");
}

#[test]
fn install_says_what_went_wrong() {
    let output = plainly(&["install", "/no/such/place"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/no/such/place") && said.lines().count() == 1, "{said}");
}

#[test]
fn the_no_op_succeeds_silently_whatever_it_is_called_and_told() {
    let here = directory();
    let no_op = fs::canonicalize(support::no_op()).expect("the no-op");
    for name in ["sh", "pilot-agent", "curfew-reaper"] {
        let link = here.path().join(name);
        // No copy: one that another test's fork still holds open for writing can't be run (ETXTBSY).
        symlink(&no_op, &link).expect("link");
        for arguments in [&[][..], &["--help"], &["-c", "exit 3"], &["await", "--", "false"]] {
            let mut words: Vec<_> = support::runner().into_iter().chain([link.clone().into()]).collect();
            let output = Command::new(words.remove(0)).args(words).args(arguments).output().expect("run");
            assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
        }
    }
}
