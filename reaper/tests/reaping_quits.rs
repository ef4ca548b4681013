//! What the reaper does once the mains are done: two waves, bounded, and an exit code of 0 whatever comes of it.

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::{OnShutdown, StandIn};
use support::{
    MessageFile, Place, eventually,
    pod::{Pod, UID},
};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn proxy(behaviour: OnShutdown) -> StandIn {
    StandIn::linkerd(LOOPBACK).any_port().on_shutdown(behaviour).start().expect("a stand-in")
}

plain_and_as_pid_one! {
    fn those_without_traffic_go_first(place: Place) {
        let (pod, message) = (Pod::new(), MessageFile::empty());
        let first = proxy(OnShutdown::OkThenLinger(Duration::from_millis(300)));
        let second = proxy(OnShutdown::Ok);
        pod.project(UID);
        let urls = ["--shutdown", &second.shutdown_url(), "--shutdown-first", &first.shutdown_url()];
        assert_eq!(pod.reaper(place).args(urls).args(message.args()).run().code, 0);
        assert_eq!(message.read(), "");
        let at = |proxy: &StandIn| proxy.shutdown_requests()[0].at;
        assert!(at(&second) >= at(&first) + Duration::from_millis(300), "the first wave is gone before the second");
    }

    fn a_stubborn_first_wave_holds_the_second_for_two_seconds(place: Place) {
        let (pod, message) = (Pod::new(), MessageFile::empty());
        let [stubborn, mesh] = [OnShutdown::Stall, OnShutdown::Ok].map(proxy);
        pod.project(UID);
        let urls = ["--shutdown", &mesh.shutdown_url(), "--shutdown-first", &stubborn.shutdown_url()];
        let ended = pod.reaper(place).args(urls).args(message.args()).run();
        assert_eq!(ended.code, 0);
        assert!(ended.took >= Duration::from_secs(2), "{ended:?}");
        let waited = mesh.shutdown_requests()[0].at.saturating_duration_since(stubborn.shutdown_requests()[0].at);
        // The stand-in may have read late that it was asked.
        assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
        assert!(message.line().contains(&stubborn.shutdown_url()), "{}", message.line());
    }

    fn a_refusal_is_told_and_the_exit_code_stays_0(place: Place) {
        let (pod, message) = (Pod::new(), MessageFile::empty());
        let proxy = proxy(OnShutdown::NotEnabled);
        pod.project(UID);
        let reaper = pod.reaper(place).args(["--shutdown", &proxy.shutdown_url()]).args(message.args());
        assert_eq!(reaper.run().code, 0);
        let expected = format!("curfew-reaper: {} answered 404", proxy.shutdown_url());
        assert!(message.line().starts_with(&expected), "{}", message.line());
        assert!(message.line().contains("config.linkerd.io/proxy-admin-shutdown: enabled"), "{}", message.line());
    }

    fn told_to_leave_while_it_quits_it_leaves_at_once(place: Place) {
        support::at_once(|| {
            let (pod, message) = (Pod::new(), MessageFile::empty());
            let proxy = proxy(OnShutdown::Stall);
            let reaper = pod.reaper(place).args(["--shutdown", &proxy.shutdown_url()]).args(message.args());
            let running = reaper.start();
            running.pid();
            pod.project(UID);
            eventually("the proxy is asked", || (!proxy.shutdown_requests().is_empty()).then_some(()));
            let since = Instant::now();
            running.signal(15);
            assert_eq!(running.finish().code, 0);
            let took = since.elapsed();
            assert!(message.line().contains("signal 15"), "{}", message.line());
            took
        });
    }

    fn told_to_leave_when_the_mains_are_done_it_tries_once(place: Place) {
        support::at_once(|| {
            let pod = Pod::new();
            let [first, second] = [OnShutdown::Stall, OnShutdown::Stall].map(proxy);
            let urls = ["--shutdown", &second.shutdown_url(), "--shutdown-first", &first.shutdown_url()];
            let running = pod.reaper_beside(place, 1).args(urls).start();
            let pid = running.pid();
            // It would give the last wrapper a second to quit them itself.
            let since = Instant::now();
            pod.leave_tombstone("main");
            support::kill(pid, 15);
            assert_eq!(running.finish().code, 0);
            let took = since.elapsed();
            [first, second].iter().for_each(support::asked_once);
            took
        });
    }

    fn a_message_that_cannot_be_written_changes_nothing(place: Place) {
        for file in ["/no/such/file", "/", "/dev/full"] {
            let (pod, proxy) = (Pod::new(), proxy(OnShutdown::NotEnabled));
            pod.project(UID);
            let reaper = pod.reaper(place).args(["--shutdown", &proxy.shutdown_url(), "--message", file]);
            assert_eq!(reaper.run().code, 0, "{file}");
        }
    }
}

#[test]
fn a_sidecar_that_listens_only_after_the_mains_are_done_is_quit_in_either_wave() {
    // Longer than a wave may take once its sidecars are up.
    let late = Duration::from_secs(11);
    thread::scope(|scope| {
        for flag in ["--shutdown-first", "--shutdown"] {
            scope.spawn(move || {
                let (pod, message) = (Pod::new(), MessageFile::empty());
                let sidecar =
                    StandIn::envoy(LOOPBACK).any_port().ready_after(late).start().expect("a stand-in");
                pod.project(UID);
                let reaper =
                    pod.reaper(Place::Plain).args([flag, &sidecar.shutdown_url()]).args(message.args());
                let ended = reaper.run();
                assert_eq!((ended.code, message.read().as_str()), (0, ""), "{flag}");
                assert!(sidecar.is_quit() && sidecar.shutdown_requests().len() == 1, "{flag}");
            });
        }
    });
}

#[test]
fn sidecars_that_a_wrapper_saw_go_meanwhile_are_not_waited_for() {
    let pod = Pod::new();
    let absent = StandIn::linkerd(LOOPBACK).any_port().never_ready().start().expect("a stand-in");
    pod.project(UID);
    let running = pod.reaper_beside(Place::Plain, 1).args(["--shutdown", &absent.shutdown_url()]).start();
    running.pid();
    pod.leave_marker();
    let ended = running.finish();
    assert_eq!(ended.code, 0);
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
}
