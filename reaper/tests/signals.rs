//! Every signal reaches the command, and nothing but the command.

mod support;

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::Stdio,
    thread,
};

use curfew_tests::standin::StandIn;
use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
};
use support::{Place, Running, Wrapper, directory, eventually, kill};

/// All that can be caught, but CHLD and the synchronous ones, and but 32 and 33, which no shell can trap.
fn forwarded() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![4, 5, 6, 7, 8, 9, 11, 17, 19, 31, 32, 33].contains(signal))
}

/// Says the number of every signal that comes.
fn parrot() -> String {
    let signals: Vec<_> = forwarded().map(|signal| signal.to_string()).collect();
    format!(
        "n=0; for s in {}; do trap \"n=\\$((n+1)); echo \\$n:$s\" $s; done; echo up; while :; do sleep 0.01; done",
        signals.join(" ")
    )
}

fn parrot_under(place: Place, tombstones: &tempfile::TempDir) -> Running {
    let running = Wrapper::new(place).staying(tombstones).command(["bash", "-c", &parrot()]).start();
    running.says("up\n");
    running
}

plain_and_as_pid_one! {
    fn every_signal_is_forwarded_one_at_a_time_and_repeatedly(place: Place) {
        let tombstones = directory();
        let running = parrot_under(place, &tombstones);
        for (number, signal) in forwarded().chain(forwarded()).enumerate() {
            running.signal(signal);
            running.says(&format!("\n{}:{signal}\n", number + 1));
        }
        kill(running.command_pid(), 9);
        assert_eq!(running.finish().code, 137);
    }

    fn signals_that_libc_keeps_for_itself_are_forwarded_too(place: Place) {
        if support::runner().is_some() {
            return; // qemu needs them itself
        }
        let tombstones = directory();
        for signal in [32, 33] {
            let running = Wrapper::new(place).staying(&tombstones).shell("echo up; exec sleep 60").start();
            running.says("up\n");
            running.signal(signal);
            assert_eq!(running.finish().code, 128 + signal);
        }
    }

    fn a_burst_of_real_time_signals_loses_none(place: Place) {
        let tombstones = directory();
        let running = Wrapper::new(place)
            .staying(&tombstones)
            .command(["bash", "-c", "n=0; trap 'n=$((n+1)); echo $n' 40; echo up; while :; do sleep 0.01; done"])
            .start();
        running.says("up\n");
        let pid = running.pid();
        // The wrapper is stopped meanwhile, so that all of them are pending at once.
        kill(pid, 19);
        (0..20).for_each(|_| kill(pid, 40));
        kill(pid, 18);
        // bash itself may take two for one; the kernel's count of what the wrapper has left must be none.
        eventually("all are taken", || (support::status_bits(pid, "ShdPnd")? == 0).then_some(()));
        running.says("\n1\n");
        kill(running.command_pid(), 9);
        assert_eq!(running.finish().code, 137);
    }

    fn a_command_may_handle_sigterm_and_end_as_it_likes(place: Place) {
        let tombstones = directory();
        let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done";
        let running = Wrapper::new(place).staying(&tombstones).shell(script).start();
        running.says("up\n");
        running.signal(15);
        assert_eq!(running.finish().code, 7);
    }

    fn a_command_that_ignores_a_signal_goes_on(place: Place) {
        let tombstones = directory();
        let script = "trap '' TERM; trap 'exit 3' USR1; echo up; while :; do sleep 0.01; done";
        let running = Wrapper::new(place).staying(&tombstones).shell(script).start();
        running.says("up\n");
        running.signal(15);
        running.signal(10);
        assert_eq!(running.finish().code, 3);
    }

    fn synchronous_signals_are_left_alone(place: Place) {
        let tombstones = directory();
        let running = Wrapper::new(place).staying(&tombstones).shell("echo up; exec sleep 60").start();
        running.says("up\n");
        let blocked = support::status_bits(running.pid(), "SigBlk").expect("a status");
        for signal in [4, 5, 6, 7, 8, 11, 31] {
            assert_eq!(blocked & (1 << (signal - 1)), 0, "signal {signal}");
        }
        running.signal(15);
        assert_eq!(running.finish().code, 143);
    }

    fn sigterm_in_the_wait_ends_it_at_once_and_nothing_is_started(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        for signal in [1, 2, 3, 10, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 34, 37, 64] {
            let running = Wrapper::new(place).args(["--ready", &proxy.ready_url()]).shell("echo started").start();
            running.signal(signal);
            let ended = running.finish();
            assert_eq!((ended.code, ended.stdout.as_str()), (128 + signal, ""), "signal {signal}");
        }
    }

    fn harmless_signals_do_not_end_the_wait(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        let mut running = Wrapper::new(place).args(["--ready", &proxy.ready_url()]).shell("echo started").start();
        for signal in [17, 18, 20, 21, 22, 23, 28] {
            running.signal(signal);
        }
        let pid = running.pid();
        eventually("all are taken", || (support::status_bits(pid, "ShdPnd")? == 0).then_some(()));
        assert!(running.is_running());
        running.signal(15);
        assert_eq!(running.finish().code, 143);
    }

    fn sigterm_in_the_wait_quits_the_proxy_if_the_container_is_finished(place: Place) {
        for (codes, quits) in [("always", true), ("143", true), ("success", false), ("0-142,144-255", false)] {
            // Ready is asked where nobody is, the shutdown where somebody is.
            let absent = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
            let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
            let urls = ["--ready", &absent.ready_url(), "--shutdown", &proxy.shutdown_url()];
            let running = Wrapper::new(place).args(urls).args(["--quit-on", codes]).shell("echo started").start();
            running.signal(15);
            let ended = running.finish();
            assert_eq!((ended.code, ended.stdout.as_str()), (143, ""), "{codes}");
            assert_eq!(proxy.is_quit(), quits, "{codes}");
        }
    }

    fn a_signal_that_comes_just_before_the_command_is_not_lost(place: Place) {
        // Around the moment the wrapper becomes the command: before, it is 143; after, the command's default.
        for delay in 0..40 {
            let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
            let wrapper = Wrapper::new(place).args(["--on-timeout", "run", "--timeout", "20ms"]);
            // As PID 1 a command gets no signal that it does not ask for, so it asks.
            let script = "trap 'exit 143' TERM; echo up; while :; do sleep 0.01; done";
            let running = wrapper.args(["--ready", &proxy.ready_url()]).shell(script).start();
            let pid = running.pid();
            if delay % 2 == 1 {
                running.says("up\n");
            }
            kill(pid, 15);
            assert_eq!(running.finish().code, 143, "try {delay}");
        }
    }
}

/// Starts the wrapper as leader of a session on a terminal of its own; gives the terminal's other end.
fn on_a_terminal(wrapper: Wrapper) -> (Running, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master: OwnedFd = rustix::pty::openpt(flags).expect("a pseudo-terminal");
    rustix::pty::unlockpt(&master).expect("unlock");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name").into_string().expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave: OwnedFd = rustix::fs::open(name, flags, Mode::empty()).expect("open");
    let running = wrapper
        .under(["setsid", "--ctty"])
        .without_own_group()
        .adjust(move |command| {
            command.stdin(Stdio::from(slave));
        })
        .start();
    (running, File::from(master))
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    for place in [Place::Plain] {
        let tombstones = directory();
        let script =
            "trap 'echo int' INT; trap 'echo end; exit 4' USR1; echo up; while :; do sleep 0.01; done";
        let (running, mut terminal) = on_a_terminal(Wrapper::new(place).staying(&tombstones).shell(script));
        running.says("up\n");
        terminal.write_all(b"\x03").expect("press ^C");
        running.says("up\nint\n");
        // A second one, had it been forwarded, would be ahead of this.
        running.signal(10);
        running.says("end\n");
        let ended = running.finish();
        assert_eq!((ended.code, ended.stdout.as_str()), (4, "up\nint\nend\n"));
    }
}

#[test]
fn an_interrupt_that_somebody_sent_is_forwarded_on_a_terminal_too() {
    let tombstones = directory();
    let script = "trap 'echo int; exit 4' INT; echo up; while :; do sleep 0.01; done";
    let (running, _terminal) = on_a_terminal(Wrapper::new(Place::Plain).staying(&tombstones).shell(script));
    running.says("up\n");
    running.signal(2);
    assert_eq!(running.finish().code, 4);
}

#[test]
fn the_command_has_the_terminal_as_its_own() {
    let tombstones = directory();
    let script = "tty; stty size <&0 >/dev/null && read line && echo \"got $line\"";
    let (running, mut terminal) =
        on_a_terminal(Wrapper::new(Place::Plain).staying(&tombstones).shell(script));
    running.says("/dev/pts/");
    terminal.write_all(b"hello\n").expect("type");
    let drain = thread::spawn(move || {
        let _ = terminal.read_to_end(&mut Vec::new());
    });
    let ended = running.finish();
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.ends_with("got hello\n"), "{}", ended.stdout);
    drain.join().expect("drain");
}

#[test]
fn a_hang_up_of_the_terminal_reaches_the_command() {
    let tombstones = directory();
    let script = "trap 'exit 6' HUP; echo up; while :; do sleep 0.01; done";
    let (running, terminal) = on_a_terminal(Wrapper::new(Place::Plain).staying(&tombstones).shell(script));
    running.says("up\n");
    drop(terminal);
    assert_eq!(running.finish().code, 6);
}
