//! Called `linkerd-await` it does what that program's users wanted of it.

mod support;

use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use curfew_tests::standin::{OnShutdown, StandIn};
use support::{Place, Wrapper, binary, directory};
use tempfile::TempDir;

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
/// Far less than what an absent proxy would be waited for otherwise.
const AT_ONCE: Duration = Duration::from_secs(5);

fn proxy(behaviour: OnShutdown) -> StandIn {
    StandIn::linkerd(LOOPBACK).any_port().on_shutdown(behaviour).start().expect("a stand-in")
}

fn absent() -> StandIn {
    StandIn::linkerd(LOOPBACK).any_port().never_ready().start().expect("a stand-in")
}

/// The name, as an image would have it.
struct Name(TempDir);

impl Name {
    fn new() -> Self {
        let here = directory();
        symlink(fs::canonicalize(binary()).expect("the binary"), here.path().join("linkerd-await"))
            .expect("link");
        Self(here)
    }

    fn beside(&self, place: Place, proxy: &StandIn) -> Wrapper {
        let port = proxy.ready_address().port().to_string();
        let wrapper = Wrapper::raw(place).called(self.0.path().join("linkerd-await"));
        wrapper.args(["--port", &port]).adjust(|command| {
            command.env_remove("LINKERD_AWAIT_DISABLED").env_remove("LINKERD_DISABLED");
        })
    }
}

fn disabled(wrapper: Wrapper, variable: &'static str, value: &'static str) -> Wrapper {
    wrapper.adjust(move |command| {
        command.env(variable, value);
    })
}

plain_and_as_pid_one! {
    fn the_command_runs_and_the_proxy_is_shut_down_where_that_was_asked_for(place: Place) {
        let name = Name::new();
        for (flags, shuts_down) in [(&[][..], false), (&["-S"], true), (&["-vSt", "2m", "-b=1s"], true), (&["--shutdown"], true)] {
            let proxy = proxy(OnShutdown::Ok);
            let wrapper = name.beside(place, &proxy).args(flags);
            // A flag behind the command is the command's, with or without dashes between.
            let ended = wrapper.args(["sh", "-c", "echo $0 $*; exit 7", "-S", "--timeout"]).run();
            assert_eq!((ended.code, ended.stdout.as_str()), (7, "-S --timeout\n"), "{flags:?}");
            assert_eq!(proxy.is_quit(), shuts_down, "{flags:?}");
        }
    }

    fn the_shutdown_is_tried_again_and_seen_through(place: Place) {
        let name = Name::new();
        let linger = OnShutdown::OkThenLinger(Duration::from_millis(500));
        let proxy = StandIn::linkerd(LOOPBACK).any_port().on_shutdown(OnShutdown::Drop).then(linger);
        let proxy = proxy.start().expect("a stand-in");
        assert_eq!(name.beside(place, &proxy).args(["-S"]).shell("exit 7").run().code, 7);
        assert_eq!(proxy.shutdown_requests().len(), 2);
        assert!(proxy.wait_until_gone(Duration::ZERO));
    }

    fn an_end_by_signal_and_a_command_that_is_not_there_have_their_own_codes(place: Place) {
        let name = Name::new();
        for (command, code) in [(&["sh", "-c", "kill -9 $$"][..], 137), (&["no-such-command"], 127), (&["/"], 126)] {
            let proxy = proxy(OnShutdown::Ok);
            assert_eq!(name.beside(place, &proxy).args(["-S", "--"]).args(command).run().code, code, "{command:?}");
            assert!(proxy.is_quit(), "{command:?}");
        }
    }

    fn signals_reach_the_command(place: Place) {
        let name = Name::new();
        for signal in [15, 2, 1, 10, 3] {
            let proxy = proxy(OnShutdown::Ok);
            let script = "for s in TERM INT HUP USR1 QUIT; do trap 'exit 9' $s; done; echo up; while :; do sleep 0.01; done";
            let running = name.beside(place, &proxy).args(["-S"]).shell(script).start();
            running.says("up\n");
            running.signal(signal);
            assert_eq!(running.finish().code, 9, "signal {signal}");
            assert!(proxy.is_quit(), "signal {signal}");
        }
    }

    fn the_wait_can_be_bounded_and_the_command_run_all_the_same(place: Place) {
        let name = Name::new();
        for (flags, code, said) in [
            (&["--timeout=300ms"][..], 69, ""),
            (&["-t", "300ms", "--timeout-fatal"], 69, ""),
            (&["-t300ms", "--timeout-fatal=false"], 7, "started\n"),
        ] {
            let ended = name.beside(place, &absent()).args(flags).args(["-S"]).shell("echo started; exit 7").run();
            assert_eq!((ended.code, ended.stdout.as_str()), (code, said), "{flags:?}");
            assert!((Duration::from_millis(300)..AT_ONCE).contains(&ended.took), "{flags:?}: {ended:?}");
        }
    }

    fn without_a_timeout_it_waits_on(place: Place) {
        let name = Name::new();
        for flags in [&[][..], &["-t", "0"], &["-t", "1d"]] {
            let late = Duration::from_millis(500);
            let proxy = StandIn::linkerd(LOOPBACK).any_port().ready_after(late).start().expect("a stand-in");
            let ended = name.beside(place, &proxy).args(flags).shell("echo started").run();
            assert_eq!((ended.code, ended.stdout.as_str()), (0, "started\n"), "{flags:?}");
            let proxy = absent();
            let running = name.beside(place, &proxy).args(flags).shell("echo started").start();
            running.signal(15);
            let ended = running.finish();
            assert_eq!((ended.code, ended.stdout.as_str()), (143, ""), "{flags:?}");
        }
    }

    fn disabled_is_the_wait_and_not_the_shutdown(place: Place) {
        let name = Name::new();
        for variable in ["LINKERD_AWAIT_DISABLED", "LINKERD_DISABLED"] {
            let unready = proxy(OnShutdown::Ok);
            let ended = disabled(name.beside(place, &unready).args(["-S"]), variable, "no").shell("exit 7").run();
            assert_eq!(ended.code, 7);
            assert!(unready.is_quit(), "{variable}");
            for flags in [&["-S"][..], &[]] {
                let ended = disabled(name.beside(place, &absent()).args(flags), variable, "1").shell("exit 7").run();
                assert_eq!(ended.code, 7, "{variable} {flags:?}");
                assert!(ended.took < AT_ONCE, "{variable} {flags:?}: {ended:?}");
            }
            // Set but empty is not set.
            let wrapper = disabled(name.beside(place, &absent()).args(["-t=200ms"]), variable, "");
            assert_eq!(wrapper.shell("exit 7").run().code, 69, "{variable}");
        }
    }

    fn without_a_command_it_waits_and_is_done(place: Place) {
        let name = Name::new();
        assert_eq!(name.beside(place, &proxy(OnShutdown::Ok)).run().code, 0);
        assert_eq!(name.beside(place, &absent()).args(["--timeout", "200ms"]).run().code, 69);
        assert_eq!(disabled(name.beside(place, &absent()), "LINKERD_DISABLED", "1").run().code, 0);
    }
}

#[test]
fn a_wrong_command_line_is_64_and_said() {
    let name = Name::new();
    let run = |arguments: &[&str]| {
        let mut words: Vec<_> = support::runner().into_iter().collect();
        words.push(name.0.path().join("linkerd-await").into());
        Command::new(&words[0]).args(&words[1..]).args(arguments).output().expect("run")
    };
    for (arguments, reason) in [
        (&["-S"][..], "--shutdown needs a command"),
        (&["--bogus", "true"], "--bogus"),
        (&["-x", "true"], "-x"),
        (&["--port", "70000", "true"], "--port 70000"),
        (&["--port", "0", "true"], "--port 0"),
        (&["--timeout", "5", "true"], "--timeout 5"),
        (&["--timeout", "soon", "true"], "--timeout soon"),
        (&["--backoff", "5x", "true"], "--backoff 5x"),
        (&["--timeout-fatal=maybe", "true"], "--timeout-fatal=maybe"),
        (&["--timeout"], "--timeout"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{arguments:?}");
        assert!(said.starts_with("linkerd-await: ") && said.contains(reason), "{arguments:?}: {said}");
    }
    for (arguments, text) in
        [(["--help"], "--timeout-fatal"), (["-h"], "--timeout-fatal"), (["-V"], "curfew-reaper")]
    {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(text), "{arguments:?}");
    }
}
