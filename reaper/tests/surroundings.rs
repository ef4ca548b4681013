//! The command finds everything as it would without the wrapper, and the wrapper leaves nothing behind.

mod support;

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use curfew_tests::standin::{OnShutdown, StandIn};
use support::{Place, Wrapper, bits, children, directory, eventually};

/// Both ways the command comes to life: as a child, and in the wrapper's place.
fn both_ways(place: Place, tombstones: &tempfile::TempDir) -> [Wrapper; 2] {
    [Wrapper::new(place).staying(tombstones), Wrapper::new(place)]
}

plain_and_as_pid_one! {
    fn the_command_has_no_signal_blocked_or_ignored(place: Place) {
        if support::runner().is_some() {
            return; // qemu has its own
        }
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            // Not even if the wrapper itself was born so.
            let born = ["env", "--block-signal=USR1", "--ignore-signal=HUP", "--ignore-signal=CHLD"];
            let ended = wrapper.under(born).command(["cat", "/proc/self/status"]).run();
            assert_eq!(ended.code, 0);
            for field in ["SigBlk", "SigIgn", "SigCgt"] {
                assert_eq!(bits(&ended.stdout, field), Some(0), "{field}");
            }
        }
    }

    fn the_exit_code_is_known_even_if_sigchld_was_ignored(place: Place) {
        let tombstones = directory();
        let wrapper = Wrapper::new(place).staying(&tombstones).under(["env", "--ignore-signal=CHLD"]);
        assert_eq!(wrapper.shell("exit 42").run().code, 42);
    }

    fn stdin_is_the_commands(place: Place) {
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let mut input = tempfile::tempfile().expect("a file");
            input.write_all(b"to the command").expect("write");
            std::io::Seek::rewind(&mut input).expect("rewind");
            let wrapper = wrapper.adjust(move |command| {
                command.stdin(Stdio::from(input));
            });
            assert_eq!(wrapper.command(["cat"]).run().stdout, "to the command");
        }
    }

    fn the_environment_is_handed_on_as_it_is(place: Place) {
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let wrapper = wrapper.adjust(|command| {
                command.env_clear().env("PATH", "/usr/bin:/bin").env("ODD", "$(PATH) \"x\"\n%s").env("EMPTY", "");
            });
            let ended = wrapper.command(["env", "-0"]).run();
            let mut variables: Vec<_> = ended.stdout.split_terminator('\0').collect();
            variables.sort_unstable();
            assert_eq!(variables, ["EMPTY=", "ODD=$(PATH) \"x\"\n%s", "PATH=/usr/bin:/bin"]);
        }
    }

    fn the_working_directory_is_the_commands(place: Place) {
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let wrapper = wrapper.adjust(|command| {
                command.current_dir("/usr");
            });
            assert_eq!(wrapper.command(["pwd"]).run().stdout, "/usr\n");
        }
    }

    fn arguments_arrive_byte_by_byte(place: Place) {
        use std::os::unix::ffi::OsStrExt;
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let words = ["$(HOSTNAME)", "$$(x)", "--", "--ready", "-x", "", "a b", "*", "\\n", "'\""];
            let ended = wrapper.command(["printf", "%s|"]).args(words).run();
            assert_eq!(ended.stdout, "$(HOSTNAME)|$$(x)|--|--ready|-x||a b|*|\\n|'\"|");
        }
        let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
        let wrapper = Wrapper::new(place).staying(&tombstones).shell("printf %s \"$1\" | od -An -tx1").args(["sh"]);
        assert_eq!(wrapper.args([odd]).run().stdout.trim(), "ff fe");
    }

    fn a_command_is_found_along_its_path(place: Place) {
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let wrapper = wrapper.adjust(|command| {
                command.env("PATH", "/no/such/place:/usr/bin:/bin");
            });
            assert_eq!(wrapper.command(["true"]).run().code, 0);
        }
    }

    fn nothing_of_the_wrappers_is_open_in_the_command(place: Place) {
        let tombstones = directory();
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
        for wrapper in both_ways(place, &tombstones) {
            let ended = wrapper.args(["--ready", &proxy.ready_url()]).shell("ls /proc/$$/fd").run();
            let bare = Command::new("sh").args(["-c", "ls /proc/$$/fd"]).output().expect("run");
            assert_eq!(ended.stdout, String::from_utf8_lossy(&bare.stdout));
        }
    }

    fn orphans_leave_no_zombie(place: Place) {
        if support::runner().is_some() && place == Place::Plain {
            return; // qemu refuses to make a subreaper
        }
        let tombstones = directory();
        let script = "for i in 1 2 3 4 5; do (sleep 60 &); done; echo up; exec sleep 60";
        let running = Wrapper::new(place).staying(&tombstones).shell(script).start();
        running.says("up\n");
        let pid = running.pid();
        let (command, adopted) = (running.command_pid(), children(pid));
        assert_eq!(adopted.len(), 6, "the command, and five that were orphaned to the wrapper");
        adopted.into_iter().filter(|child| *child != command).for_each(|orphan| support::kill(orphan, 15));
        eventually("all orphans are reaped", || (children(pid).len() == 1).then_some(()));
        running.signal(15);
        assert_eq!(running.finish().code, 143);
    }

    fn orphans_that_end_in_the_shutdown_phase_are_reaped_too(place: Place) {
        let builder = StandIn::linkerd([127, 0, 0, 1]).any_port().on_shutdown(OnShutdown::Stall);
        let proxy = builder.start().expect("a stand-in");
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        let running = Wrapper::new(place).args(urls).shell("for i in 1 2 3; do (sleep 0.5 &); done; exit 5").start();
        eventually("the proxy is asked", || (!proxy.shutdown_requests().is_empty()).then_some(()));
        let pid = running.pid();
        eventually("all orphans are reaped", || children(pid).is_empty().then_some(()));
        running.signal(15);
        assert_eq!(running.finish().code, 5);
    }

    fn with_nothing_left_to_do_no_process_is_kept(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
        let wrapper = Wrapper::new(place).args(["--ready", &proxy.ready_url()]);
        let running = wrapper.shell("cat /proc/self/stat | cut -d' ' -f4; echo $$; exec sleep 60").start();
        eventually("it has said both", || (running.stdout().lines().count() == 2).then_some(()));
        let said = running.stdout();
        let [parent, own] = [0, 1].map(|line| said.lines().nth(line).expect("a line"));
        assert_eq!(parent, own);
        if place == Place::PidOne {
            assert_eq!(own, "1");
        }
    }

    fn closed_streams_do_no_harm(place: Place) {
        let tombstones = directory();
        for wrapper in both_ways(place, &tombstones) {
            let closing = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
            assert_eq!(wrapper.under(closing).shell("exit 9").run().code, 9);
        }
    }
}

#[test]
fn not_one_byte_is_written_whatever_happens() {
    // Every run here checks both streams; these are the ways that others chat in.
    let proxy = StandIn::linkerd([127, 0, 0, 1])
        .any_port()
        .on_shutdown(OnShutdown::NotEnabled)
        .start()
        .expect("a stand-in");
    let (ready, shutdown) = (proxy.ready_url(), proxy.shutdown_url());
    for arguments in [
        &["--ready", &ready, "--shutdown", &shutdown, "--", "true"][..],
        &["--ready", &ready, "--shutdown", &shutdown, "--", "no-such-command"],
        &["--ready", "http://127.0.0.1:9/", "--timeout", "50ms", "--", "true"],
        &["--ready", "http://127.0.0.1:9/", "--timeout", "50ms", "--on-timeout", "run", "--", "true"],
        &[
            "--tombstones",
            "/no/such/place",
            "--mains",
            "1",
            "--name",
            "a",
            "--shutdown",
            &shutdown,
            "--",
            "true",
        ],
        &["--ready", "https://example.com", "--", "true"],
        &["--help"],
        &["--version"],
        &["-h"],
        &["true"],
        &["--"],
    ] {
        assert_eq!(Wrapper::new(Place::Plain).args(arguments).run().stdout, "", "{arguments:?}");
    }
}

#[test]
fn the_wrapper_is_one_thread_and_small() {
    if !support::is_static() || support::runner().is_some() {
        return; // only what is shipped counts
    }
    let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
    let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
    let running = Wrapper::new(Place::Plain).args(urls).shell("echo up; exec sleep 60").start();
    running.says("up\n");
    // Only then has it let go of its code.
    support::sleeps_for_good(&running);
    is_one_thread_and_small(running.pid());
    running.signal(15);
    assert_eq!(running.finish().code, 143);
}

#[test]
fn the_reaper_is_one_thread_and_small() {
    if !support::is_static() || support::runner().is_some() {
        return; // only what is shipped counts
    }
    let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
    let pod = support::pod::Pod::new();
    let urls = ["--shutdown-first", &proxy.shutdown_url(), "--shutdown", &proxy.shutdown_url()];
    let running = pod.reaper_beside(Place::Plain, 2).args(urls).start();
    support::sleeps_for_good(&running);
    is_one_thread_and_small(running.pid());
    running.signal(15);
    assert_eq!(running.finish().code, 0);
}

fn is_one_thread_and_small(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        value
            .trim_start_matches(':')
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(u64::MAX)
    };
    assert_eq!(field("Threads"), 1);
    assert!(field("VmRSS") <= 512, "{} kB", field("VmRSS"));
}

#[test]
fn the_shipped_binary_is_small() {
    let stripped = fs::metadata(support::binary()).expect("the binary").len();
    if support::is_static() {
        assert!(stripped <= 480 * 1024, "{stripped} bytes");
    }
}
