//! Every signal reaches the command, and nothing but the command.

mod support;

use std::{
    fs,
    fs::File,
    io::Write,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::Stdio,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::StandIn;
use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
};
use support::{PATIENCE, Place, Running, Wrapper, directory, eventually, kill};

/// All that can be caught, but CHLD and the synchronous ones, and but 32 and 33, which no shell can trap.
fn forwarded() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![4, 5, 6, 7, 8, 9, 11, 17, 19, 31, 32, 33].contains(signal))
}

/// What is queued is counted for all of a user's processes together: with one burst at a time, only a few may be others'.
static BURST: Mutex<()> = Mutex::new(());

/// How many signals wait in the queues of all this user's processes.
fn queued(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let queue = status.lines().find_map(|line| line.strip_prefix("SigQ:")).expect("SigQ");
    queue.trim().split_once('/').and_then(|(queued, _)| queued.parse().ok()).expect("a number")
}

fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
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
            // Not before: while it starts the command, musl has them unblocked for a moment, and PID 1 loses them.
            support::sleeps_for_good(&running);
            running.signal(signal);
            assert_eq!(running.finish().code, 128 + signal);
        }
    }

    fn a_burst_of_real_time_signals_loses_none(place: Place) {
        if support::runner().is_some() {
            return; // qemu keeps a queue of its own
        }
        let _alone = BURST.lock();
        let tombstones = directory();
        let running = Wrapper::new(place).staying(&tombstones).shell("echo up; exec sleep 60").start();
        running.says("up\n");
        let (pid, command) = (running.pid(), running.command_pid());
        // The command is stopped and takes none, so what it was sent stays in its queue and can be counted.
        kill(command, 19);
        // One that is not stopped yet dies of the first.
        eventually("it is stopped", || is_stopped(command).then_some(()));
        // The fewest: what others have in theirs comes and goes.
        let before = (0..20).map(|_| queued(command)).min().expect("a number");
        (0..40).for_each(|_| kill(pid, 40));
        eventually("the wrapper has taken all", || (support::status_bits(pid, "ShdPnd")? == 0).then_some(()));
        eventually("all are in the command's queue", || (queued(command) + 5 >= before + 40).then_some(()));
        kill(command, 9);
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
        let pid = running.pid();
        let synchronous = [4, 5, 6, 7, 8, 11, 31].iter().fold(0, |set, signal| set | 1 << (signal - 1));
        // Not at once: libc blocks all of them while it starts the command.
        eventually("none of them is blocked", || {
            (support::status_bits(pid, "SigBlk")? & synchronous == 0).then_some(())
        });
        running.signal(15);
        assert_eq!(running.finish().code, 143);
    }

    fn sigterm_in_the_wait_ends_it_at_once_and_nothing_is_started(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
        let real_time = if support::runner().is_some() { &[][..] } else { &[32, 33, 34, 37, 64] };
        for &signal in [1, 2, 3, 10, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30].iter().chain(real_time) {
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
            // It tries for a moment only, and may have left before the stand-in has read the request.
            let patience = if quits { PATIENCE } else { Duration::ZERO };
            assert_eq!(proxy.wait_until_quit(patience), quits, "{codes}");
        }
    }
}

#[test]
fn a_signal_that_comes_just_before_the_command_is_not_lost() {
    let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
    // All around the moment the wrapper becomes the command, which takes its default way.
    for step in 0..100 {
        let wrapper = Wrapper::new(Place::Plain).args(["--on-timeout", "run", "--timeout", "20ms"]);
        let mut running = wrapper.args(["--ready", &proxy.ready_url()]).command(["sleep", "60"]).start();
        let pid = running.started_pid();
        let moment = running.started + Duration::from_millis(15) + Duration::from_micros(100) * step;
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        kill(pid, 15);
        let status = running.end();
        assert!(status.code() == Some(143) || status.signal() == Some(15), "step {step}: {status}");
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

plain_and_as_pid_one! {
    fn ctrl_c_reaches_the_command_once(place: Place) {
        let tombstones = directory();
        let script = "trap 'echo int' INT; trap 'echo end; exit 4' USR1; echo up; while :; do sleep 0.01; done";
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

    fn an_interrupt_that_somebody_sent_is_forwarded_on_a_terminal_too(place: Place) {
        let tombstones = directory();
        let script = "trap 'echo int; exit 4' INT; echo up; while :; do sleep 0.01; done";
        let (running, _terminal) = on_a_terminal(Wrapper::new(place).staying(&tombstones).shell(script));
        running.says("up\n");
        running.signal(2);
        assert_eq!(running.finish().code, 4);
    }

    fn a_ctrl_c_that_kills_the_command_still_has_its_proxy_quit(place: Place) {
        let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in");
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        let script = "echo up; exec sleep 60";
        let (running, mut terminal) = on_a_terminal(Wrapper::new(place).args(urls).shell(script));
        running.says("up\n");
        terminal.write_all(b"\x03").expect("press ^C");
        assert_eq!(running.finish().code, 130);
        assert!(proxy.is_quit());
    }

    fn the_command_has_the_terminal_as_its_own(place: Place) {
        let tombstones = directory();
        let script = "tty; read line && echo \"got $line\"";
        let (running, mut terminal) = on_a_terminal(Wrapper::new(place).staying(&tombstones).shell(script));
        running.says("/dev/pts/");
        terminal.write_all(b"hello\n").expect("type");
        let ended = running.finish();
        assert_eq!(ended.code, 0);
        assert!(ended.stdout.ends_with("got hello\n"), "{}", ended.stdout);
    }

    fn a_hang_up_of_the_terminal_reaches_the_command(place: Place) {
        let tombstones = directory();
        let script = "trap 'exit 6' HUP; echo up; while :; do sleep 0.01; done";
        let (running, terminal) = on_a_terminal(Wrapper::new(place).staying(&tombstones).shell(script));
        running.says("up\n");
        drop(terminal);
        assert_eq!(running.finish().code, 6);
    }
}
