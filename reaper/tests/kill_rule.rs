//! The proxies go when all mains are finished, and not before.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use curfew_tests::standin::{OnShutdown, StandIn};
use support::{MessageFile, PATIENCE, Place, Running, Wrapper, directory, eventually};
use tempfile::TempDir;

fn proxy() -> StandIn {
    StandIn::linkerd([127, 0, 0, 1]).any_port().start().expect("a stand-in")
}

/// One of `mains`, which share `directory`.
fn main_of(place: Place, directory: &Path, mains: usize, name: &str, proxy: &StandIn) -> Wrapper {
    Wrapper::new(place)
        .args(["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()])
        .args(["--mains", &mains.to_string(), "--name", name, "--tombstones"])
        .args([directory])
}

fn files(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("list");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("list").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

plain_and_as_pid_one! {
    fn the_proxy_goes_after_these_exit_codes_only(place: Place) {
        for (codes, code, quits) in [
            ("always", 0, true),
            ("always", 1, true),
            ("always", 255, true),
            ("success", 0, true),
            ("success", 1, false),
            ("success", 137, false),
            ("0-2,5,7-255", 2, true),
            ("0-2,5,7-255", 3, false),
            ("0-2,5,7-255", 5, true),
            ("0-2,5,7-255", 6, false),
            ("0-2,5,7-255", 255, true),
        ] {
            let proxy = proxy();
            let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url(), "--quit-on", codes];
            let ended = Wrapper::new(place).args(urls).shell(&format!("exit {code}")).run();
            assert_eq!(ended.code, code, "{codes}");
            assert_eq!(proxy.is_quit(), quits, "{codes} after {code}");
        }
    }

    fn death_by_a_signal_counts_as_128_plus_its_number(place: Place) {
        for (codes, quits) in [("137", true), ("0-136,138-255", false)] {
            let proxy = proxy();
            let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url(), "--quit-on", codes];
            assert_eq!(Wrapper::new(place).args(urls).shell("kill -9 $$").run().code, 137);
            assert_eq!(proxy.is_quit(), quits, "{codes}");
        }
    }

    fn the_last_main_quits_the_proxy_and_leaves_word(place: Place) {
        let (here, proxy) = (directory(), proxy());
        // What a command leaves there counts for nothing.
        fs::write(here.path().join("notes"), []).expect("write");
        for (name, before) in [("a", vec!["a.done", "notes"]), ("b", vec!["a.done", "b.done", "notes"])] {
            assert_eq!(main_of(place, here.path(), 3, name, &proxy).shell("exit 0").run().code, 0);
            assert_eq!(files(&here), before);
            assert!(!proxy.is_quit());
        }
        assert_eq!(main_of(place, here.path(), 3, "c", &proxy).shell("exit 2").run().code, 2);
        assert_eq!(files(&here), ["a.done", "b.done", "c.done", "notes", "quit"]);
        assert!(proxy.is_quit());
    }

    fn a_main_that_must_run_again_leaves_no_tombstone(place: Place) {
        let (here, proxy) = (directory(), proxy());
        let failing = main_of(place, here.path(), 1, "a", &proxy).args(["--quit-on", "success"]);
        assert_eq!(failing.shell("exit 1").run().code, 1);
        assert!(files(&here).is_empty() && !proxy.is_quit());
        let again = main_of(place, here.path(), 1, "a", &proxy).args(["--quit-on", "success"]);
        assert_eq!(again.shell("exit 0").run().code, 0);
        assert_eq!(files(&here), ["a.done", "quit"]);
        assert!(proxy.is_quit());
    }

    fn a_main_that_runs_again_takes_its_tombstone_back(place: Place) {
        let (here, proxy) = (directory(), proxy());
        fs::write(here.path().join("a.done"), []).expect("write");
        fs::write(here.path().join("quit"), []).expect("write");
        let script = "echo up; while :; do sleep 0.01; done";
        let again = main_of(place, here.path(), 2, "a", &proxy).shell(script).start();
        again.says("up\n");
        assert!(files(&here).is_empty());
        // The other main ends meanwhile, and must not find two.
        assert_eq!(main_of(place, here.path(), 2, "b", &proxy).shell("exit 0").run().code, 0);
        assert!(!proxy.is_quit());
        again.signal(15);
        assert_eq!(again.finish().code, 143);
        assert_eq!(files(&here), ["a.done", "b.done", "quit"]);
        assert!(proxy.is_quit());
    }

    fn without_word_when_a_proxy_stays(place: Place) {
        let here = directory();
        let builder = StandIn::linkerd([127, 0, 0, 1]).any_port().on_shutdown(OnShutdown::NotEnabled);
        let proxy = builder.start().expect("a stand-in");
        assert_eq!(main_of(place, here.path(), 1, "a", &proxy).shell("exit 0").run().code, 0);
        assert_eq!(files(&here), ["a.done"]);
    }

    fn without_word_when_there_was_nobody_to_quit(place: Place) {
        // The reaper does the quitting then, and would take the word for the deed.
        let here = directory();
        let wrapper = Wrapper::new(place).args(["--mains", "1", "--name", "a", "--tombstones"]).args([here.path()]);
        assert_eq!(wrapper.shell("exit 0").run().code, 0);
        assert_eq!(files(&here), ["a.done"]);
    }

    fn the_wait_that_failed_counts_as_an_end_too(place: Place) {
        let here = directory();
        let builder = StandIn::istio([127, 0, 0, 1]).any_port().never_ready();
        let proxy = builder.start().expect("a stand-in");
        let wrapper = main_of(place, here.path(), 1, "a", &proxy).args(["--timeout", "100ms"]);
        assert_eq!(wrapper.shell("exit 0").run().code, 69);
        assert!(files(&here).contains(&"a.done".to_owned()));
    }

    fn without_a_directory_no_proxy_is_quit_and_that_is_said(place: Place) {
        let here = directory();
        let message = MessageFile::empty();
        let proxy = proxy();
        let wrapper = main_of(place, &here.path().join("missing"), 1, "a", &proxy).args(message.args());
        assert_eq!(wrapper.shell("exit 3").run().code, 3);
        assert!(!proxy.is_quit());
        assert!(message.line().contains("no proxy was told to quit"), "{}", message.line());
    }
}

#[test]
fn a_directory_that_cannot_be_written_quits_nobody() {
    let here = directory();
    // Root may write anywhere but into what is no directory.
    let file = here.path().join("file");
    fs::write(&file, []).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("chmod");
    let message = MessageFile::empty();
    let proxy = proxy();
    let wrapper = main_of(Place::Plain, &file, 1, "a", &proxy).args(message.args());
    assert_eq!(wrapper.shell("exit 3").run().code, 3);
    assert!(!proxy.is_quit());
    assert!(message.line().contains("no proxy was told to quit"), "{}", message.line());
}

#[test]
fn of_two_that_end_at_the_same_instant_at_least_one_quits_the_proxy() {
    for round in 0..60 {
        let here = directory();
        let start = directory();
        let gun = start.path().join("gun");
        let proxy = proxy();
        // No sleep in between, so that both end within the same microseconds.
        let script = format!("echo up; while [ ! -e {} ]; do :; done", gun.display());
        let racers: Vec<Running> = ["a", "b"]
            .into_iter()
            .map(|name| main_of(Place::Plain, here.path(), 2, name, &proxy).shell(&script).start())
            .collect();
        racers.iter().for_each(|racer| racer.says("up\n"));
        fs::write(&gun, []).expect("fire");
        racers.into_iter().for_each(|racer| assert_eq!(racer.finish().code, 0, "round {round}"));
        assert!(proxy.is_quit(), "round {round}");
        assert_eq!(files(&here), ["a.done", "b.done", "quit"], "round {round}");
    }
}

#[test]
fn anothers_word_that_the_proxies_are_gone_holds_for_one_never_seen_up() {
    let here = directory();
    fs::write(here.path().join("b.done"), []).expect("write");
    let proxy = StandIn::linkerd([127, 0, 0, 1]).any_port().never_ready().start().expect("a stand-in");
    let message = MessageFile::empty();
    let wrapper = Wrapper::new(Place::Plain)
        .args(["--shutdown", &proxy.shutdown_url(), "--mains", "2", "--name", "a", "--tombstones"])
        .args([here.path()])
        .args(message.args());
    let word = here.path().join("quit");
    let ended = wrapper.shell(&format!("touch {}; exit 3", word.display())).run();
    assert_eq!((ended.code, message.read().as_str()), (3, ""));
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn two_that_both_see_all_tombstones_both_find_the_proxy_gone() {
    let here = directory();
    fs::write(here.path().join("b.done"), []).expect("write");
    let proxy = proxy();
    let message = MessageFile::empty();
    let script = "echo up; while :; do sleep 0.01; done";
    let late = main_of(Place::Plain, here.path(), 2, "a", &proxy).args(message.args()).shell(script).start();
    late.says("up\n");
    proxy.stop();
    eventually("it is gone", || proxy.wait_until_gone(PATIENCE).then_some(()));
    late.signal(9 + 6);
    let ended = late.finish();
    assert_eq!((ended.code, message.read().as_str()), (143, ""));
    assert!(ended.took < Duration::from_secs(10));
    assert_eq!(files(&here), ["a.done", "b.done", "quit"]);
}
