//! The exit code is the command's own, or says exactly why there is none.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use curfew_tests::standin::StandIn;
use support::{MessageFile, Place, Wrapper, directory};

plain_and_as_pid_one! {
    fn every_exit_code_is_the_commands_own(place: Place) {
        let tombstones = directory();
        for code in 0..=255 {
            let wrapper = Wrapper::new(place).staying(&tombstones);
            assert_eq!(wrapper.shell(&format!("exit {code}")).run().code, code);
        }
    }

    fn every_exit_code_is_the_commands_own_when_it_takes_the_wrappers_place(place: Place) {
        for code in (0..=255).step_by(17) {
            assert_eq!(Wrapper::new(place).shell(&format!("exit {code}")).run().code, code);
        }
    }

    fn death_by_a_signal_is_128_plus_its_number(place: Place) {
        let tombstones = directory();
        // qemu has real-time signals of its own.
        let highest = if support::runner().is_some() { 31 } else { 64 };
        let fatal = (1..=highest).filter(|signal| ![17, 18, 19, 20, 21, 22, 23, 28].contains(signal));
        for signal in fatal {
            let script = format!("ulimit -c 0; kill -{signal} $$; sleep 60");
            let ended = Wrapper::new(place).staying(&tombstones).shell(&script).run();
            assert_eq!(ended.code, 128 + signal, "signal {signal}");
        }
    }

    fn a_command_that_cannot_be_executed_is_126(place: Place) {
        let here = directory();
        let file = here.path().join("file");
        fs::write(&file, "no program").expect("write");
        // glibc has a shell run what no kernel can; the kubelet would not, and neither does musl.
        let modes = if support::is_static() { &[0o644, 0o755][..] } else { &[0o644] };
        for &mode in modes {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
            for wrapper in [Wrapper::new(place), Wrapper::new(place).staying(&here)] {
                let message = MessageFile::empty();
                assert_eq!(wrapper.args(message.args()).command([&file]).run().code, 126, "mode {mode:o}");
                assert!(message.line().contains(&format!("cannot start {}: ", file.display())), "{}", message.line());
            }
        }
    }

    fn a_command_that_is_not_found_is_127(place: Place) {
        let tombstones = directory();
        for name in ["no-such-command", "/no/such/command", "/dev/null/command", ""] {
            for wrapper in [Wrapper::new(place), Wrapper::new(place).staying(&tombstones)] {
                let message = MessageFile::empty();
                assert_eq!(wrapper.args(message.args()).command([name]).run().code, 127, "{name:?}");
                assert!(message.line().contains("cannot start"), "{}", message.line());
            }
        }
    }

    fn a_command_that_cannot_be_started_has_its_proxy_quit_all_the_same(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
        let wrapper = Wrapper::new(place).args(["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()]);
        assert_eq!(wrapper.command(["no-such-command"]).run().code, 127);
        assert!(proxy.is_quit());
    }

    fn a_proxy_that_never_gets_ready_is_69_and_the_command_is_not_started(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        let message = MessageFile::empty();
        let wrapper = Wrapper::new(place).args(["--timeout", "300ms", "--ready", &proxy.ready_url()]);
        let ended = wrapper.args(message.args()).shell("echo started").run();
        assert_eq!((ended.code, ended.stdout.as_str()), (69, ""));
        assert!(ended.took >= Duration::from_millis(300));
        let expected = format!(
            "curfew-reaper: not ready after 300ms, nothing was started: {} refused the connection\n",
            proxy.ready_url()
        );
        assert_eq!(message.line(), expected);
    }

    fn the_command_runs_without_its_proxy_where_that_was_asked_for(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        let message = MessageFile::empty();
        let wrapper = Wrapper::new(place).args(["--timeout=300ms", "--on-timeout=run", "--ready", &proxy.ready_url()]);
        let ended = wrapper.args(message.args()).shell("echo started; exit 5").run();
        assert_eq!((ended.code, ended.stdout.as_str()), (5, "started\n"));
        assert!(message.line().contains("going on without"), "{}", message.line());
    }

    fn the_gate_lets_pass_when_the_proxy_is_ready(place: Place) {
        let late = Duration::from_millis(200);
        let since = Instant::now();
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().ready_after(late).start().expect("a stand-in");
        let ended = Wrapper::new(place).args(["--ready", &proxy.ready_url()]).run();
        assert_eq!(ended.code, 0);
        assert!(since.elapsed() >= late && proxy.shutdown_requests().is_empty());
    }

    fn the_gate_is_69_when_the_proxy_is_not(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        let ended = Wrapper::new(place).args(["--ready", &proxy.ready_url(), "--timeout", "100ms"]).run();
        assert_eq!(ended.code, 69);
    }
}
