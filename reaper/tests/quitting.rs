//! Proxies are told to quit until they are gone: bounded, and whatever they answer, the exit code stays.

mod support;

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::{OnShutdown, StandIn, Unready};
use support::{Ended, MessageFile, Place, Wrapper, eventually};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn proxy(behaviour: OnShutdown) -> StandIn {
    StandIn::linkerd(LOOPBACK).any_port().on_shutdown(behaviour).start().expect("a stand-in")
}

/// Runs `exit 3` beside a proxy that is ready; how it ended, and the message.
fn beside(place: Place, proxy: &StandIn) -> (Ended, String) {
    let message = MessageFile::empty();
    let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
    let ended = Wrapper::new(place).args(urls).args(message.args()).shell("exit 3").run();
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    (ended, message.read())
}

/// Ten seconds, and what a busy machine adds.
fn took_all_the_time(ended: &Ended) -> bool {
    (Duration::from_secs(10)..Duration::from_secs(14)).contains(&ended.took)
}

plain_and_as_pid_one! {
    fn a_proxy_is_told_to_quit_when_the_command_has_ended(place: Place) {
        let proxy = proxy(OnShutdown::Ok);
        let (ended, message) = beside(place, &proxy);
        assert_eq!(message, "");
        assert!(ended.took < Duration::from_secs(3), "{ended:?}");
        let methods: Vec<_> = proxy.shutdown_requests().into_iter().map(|request| request.method).collect();
        assert_eq!(methods, ["POST"]);
    }

    fn a_proxy_that_drains_is_waited_for(place: Place) {
        let linger = Duration::from_millis(700);
        let proxy = proxy(OnShutdown::OkThenLinger(linger));
        let (ended, message) = beside(place, &proxy);
        assert_eq!(message, "");
        assert!(ended.took >= linger, "{ended:?}");
        assert!(proxy.wait_until_gone(Duration::ZERO));
        assert_eq!(proxy.shutdown_requests().len(), 1, "told is told");
    }

    fn a_refusal_is_final_and_says_what_would_help(place: Place) {
        for (behaviour, status, mend) in [
            (OnShutdown::NotEnabled, 404, "config.linkerd.io/proxy-admin-shutdown: enabled"),
            (OnShutdown::Forbidden, 403, "its own pod's loopback only"),
        ] {
            let proxy = proxy(behaviour);
            let (ended, message) = beside(place, &proxy);
            assert!(ended.took < Duration::from_secs(5), "{status}: {ended:?}");
            assert_eq!(proxy.shutdown_requests().len(), 1, "{status}");
            assert!(message.starts_with(&format!("curfew-reaper: {} answered {status}", proxy.shutdown_url())), "{message}");
            assert!(message.contains(mend) && message.ends_with("so that sidecar may stay\n"), "{message}");
        }
    }

    fn another_method_can_be_chosen_and_a_wrong_one_is_final(place: Place) {
        let proxy = proxy(OnShutdown::Ok);
        let message = MessageFile::empty();
        let url = format!("GET={}", proxy.shutdown_url());
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &url];
        let ended = Wrapper::new(place).args(urls).args(message.args()).shell("exit 3").run();
        assert_eq!(ended.code, 3);
        assert!(ended.took < Duration::from_secs(5), "{ended:?}");
        assert!(message.line().contains("answered 405") && message.line().contains("METHOD=URL"), "{}", message.line());
        assert_eq!(proxy.shutdown_requests().len(), 1);
    }

    fn what_may_pass_is_tried_again(place: Place) {
        for trouble in [OnShutdown::ServerError, OnShutdown::Garbage, OnShutdown::Drop, OnShutdown::Stall] {
            let proxy = StandIn::linkerd(LOOPBACK).any_port();
            let proxy = proxy.on_shutdown(trouble).then(OnShutdown::Ok).start().expect("a stand-in");
            let (ended, message) = beside(place, &proxy);
            assert_eq!(message, "", "{trouble:?}");
            assert_eq!(proxy.shutdown_requests().len(), 2, "{trouble:?}");
            assert!(ended.took < Duration::from_secs(6), "{trouble:?}: {ended:?}");
        }
    }

    fn what_never_passes_is_given_up_after_ten_seconds(place: Place) {
        let cases = [
            (OnShutdown::ServerError, "answered 500"),
            (OnShutdown::Garbage, "answered something that is not HTTP"),
            (OnShutdown::Drop, "hung up without an answer"),
            (OnShutdown::Stall, "gave no answer in time"),
            (OnShutdown::Endless, "but its port stays open"),
            (OnShutdown::Drip, "but its port stays open"),
            (OnShutdown::OkThenLinger(Duration::from_secs(60)), "but its port stays open"),
        ];
        thread::scope(|scope| {
            for (behaviour, reason) in cases {
                scope.spawn(move || {
                    let proxy = proxy(behaviour);
                    let (ended, message) = beside(place, &proxy);
                    assert!(took_all_the_time(&ended), "{behaviour:?}: {ended:?}");
                    assert!(message.contains(&proxy.shutdown_url()), "{behaviour:?}: {message}");
                    assert!(message.contains(reason), "{behaviour:?}: {message}");
                });
            }
        });
    }

    fn several_stubborn_sidecars_share_the_ten_seconds(place: Place) {
        let proxies = [OnShutdown::Stall, OnShutdown::Stall, OnShutdown::ServerError].map(proxy);
        let message = MessageFile::empty();
        let mut wrapper = Wrapper::new(place).args(message.args());
        for proxy in &proxies {
            wrapper = wrapper.args(["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()]);
        }
        let ended = wrapper.shell("exit 3").run();
        assert_eq!(ended.code, 3);
        assert!(took_all_the_time(&ended), "{ended:?}");
        for proxy in &proxies {
            assert!(message.line().contains(&proxy.shutdown_url()), "{}", message.line());
        }
    }

    fn a_closed_port_of_a_proxy_that_was_up_means_gone(place: Place) {
        let proxy = proxy(OnShutdown::Ok);
        let message = MessageFile::empty();
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        let script = "echo up; while :; do sleep 0.01; done";
        let running = Wrapper::new(place).args(urls).args(message.args()).shell(script).start();
        running.says("up\n");
        proxy.stop();
        let since = Instant::now();
        running.signal(15);
        assert_eq!(running.finish().code, 143);
        assert!(since.elapsed() < Duration::from_secs(5));
        assert_eq!(message.read(), "");
    }

    fn a_proxy_that_is_not_yet_up_is_waited_for(place: Place) {
        let late = Duration::from_millis(800);
        let proxy = StandIn::linkerd(LOOPBACK).any_port().ready_after(late).start().expect("a stand-in");
        let message = MessageFile::empty();
        let wrapper = Wrapper::new(place).args(["--shutdown", &proxy.shutdown_url()]).args(message.args());
        let ended = wrapper.shell("exit 3").run();
        assert_eq!(ended.code, 3);
        assert!(proxy.is_quit());
        assert_eq!(message.read(), "");
    }

    fn a_proxy_that_never_comes_up_is_given_up_after_ten_seconds(place: Place) {
        let proxy = StandIn::linkerd(LOOPBACK).any_port().never_ready().start().expect("a stand-in");
        let message = MessageFile::empty();
        let wrapper = Wrapper::new(place).args(["--shutdown", &proxy.shutdown_url()]).args(message.args());
        let ended = wrapper.shell("exit 3").run();
        assert_eq!(ended.code, 3);
        assert!(took_all_the_time(&ended), "{ended:?}");
        assert!(message.line().contains("refused the connection"), "{}", message.line());
    }

    fn those_without_traffic_go_first_for_two_seconds_at_most(place: Place) {
        let [stubborn, willing, mesh] = [OnShutdown::Stall, OnShutdown::Ok, OnShutdown::Ok].map(proxy);
        let message = MessageFile::empty();
        let ended = Wrapper::new(place)
            .args(["--ready", &mesh.ready_url(), "--shutdown", &mesh.shutdown_url()])
            .args(["--shutdown-first", &stubborn.shutdown_url(), "--shutdown-first", &willing.shutdown_url()])
            .args(message.args())
            .shell("exit 3")
            .run();
        assert_eq!(ended.code, 3);
        assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&ended.took), "{ended:?}");
        let asked = stubborn.shutdown_requests()[0].at;
        let between = |other: &StandIn| other.shutdown_requests()[0].at.saturating_duration_since(asked);
        assert!(between(&willing) < Duration::from_secs(1), "side by side");
        // The stand-in may have read late that it was asked; by the wrapper's clock it is two seconds.
        assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&between(&mesh)), "{:?}", between(&mesh));
        assert!(message.line().contains(&stubborn.shutdown_url()), "{}", message.line());
        assert!(!message.line().contains(&mesh.shutdown_url()), "{}", message.line());
    }

    fn a_sidecar_without_a_ready_url_is_quit_although_it_comes_up_late(place: Place) {
        let mesh = proxy(OnShutdown::Ok);
        let late = StandIn::envoy(LOOPBACK).any_port().ready_after(Duration::from_secs(1));
        let late = late.start().expect("a stand-in");
        let urls = ["--ready", &mesh.ready_url(), "--shutdown-first", &late.shutdown_url()];
        let wrapper = Wrapper::new(place).args(urls).args(["--shutdown", &mesh.shutdown_url()]);
        assert_eq!(wrapper.shell("exit 0").run().code, 0);
        assert!(late.is_quit() && mesh.is_quit());
    }

    fn a_second_sigterm_ends_the_shutdown_phase_at_once(place: Place) {
        support::at_once(|| {
            let proxy = proxy(OnShutdown::Stall);
            let message = MessageFile::empty();
            let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
            let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done";
            let running = Wrapper::new(place).args(urls).args(message.args()).shell(script).start();
            running.says("up\n");
            running.signal(15);
            eventually("the proxy is asked", || (!proxy.shutdown_requests().is_empty()).then_some(()));
            let since = Instant::now();
            running.signal(15);
            assert_eq!(running.finish().code, 7);
            let took = since.elapsed();
            assert!(message.line().contains("signal 15"), "{}", message.line());
            took
        });
    }

    fn harmless_signals_do_not_end_the_shutdown_phase(place: Place) {
        let proxy = proxy(OnShutdown::OkThenLinger(Duration::from_secs(3)));
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        let running = Wrapper::new(place).args(urls).shell("exit 7").start();
        eventually("the proxy is asked", || (!proxy.shutdown_requests().is_empty()).then_some(()));
        let pid = running.pid();
        [1, 10, 18, 23, 28].into_iter().for_each(|signal| support::kill(pid, signal));
        assert_eq!(running.finish().code, 7);
        assert!(proxy.wait_until_gone(Duration::ZERO));
    }

    fn in_the_wait_a_stubborn_proxy_gets_one_short_try(place: Place) {
        support::at_once(|| {
            let absent = StandIn::linkerd(LOOPBACK).any_port().never_ready().start().expect("a stand-in");
            let stubborn = [OnShutdown::Stall, OnShutdown::ServerError].map(proxy);
            let urls = stubborn.each_ref().map(StandIn::shutdown_url);
            let running = Wrapper::new(place)
                .args(["--ready", &absent.ready_url(), "--shutdown", &urls[0], "--shutdown-first", &urls[1]])
                .shell("echo started")
                .start();
            let pid = running.pid();
            let since = Instant::now();
            support::kill(pid, 15);
            let ended = running.finish();
            let took = since.elapsed();
            assert_eq!((ended.code, ended.stdout.as_str()), (143, ""));
            stubborn.iter().for_each(support::asked_once);
            took
        });
    }

    fn a_proxy_that_never_got_ready_is_quit_by_the_kill_rule_for_69(place: Place) {
        for (codes, quits) in [("always", true), ("69", true), ("success", false)] {
            let unready = Unready::Answers(503);
            let proxy = StandIn::linkerd(LOOPBACK).any_port().never_ready().unready(unready).start().expect("a stand-in");
            let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
            let wrapper = Wrapper::new(place).args(urls).args(["--timeout", "100ms", "--quit-on", codes]);
            assert_eq!(wrapper.shell("echo started").run().code, 69, "{codes}");
            assert_eq!(proxy.is_quit(), quits, "{codes}");
        }
    }

    fn what_the_command_wrote_in_the_message_stays(place: Place) {
        let proxy = proxy(OnShutdown::NotEnabled);
        let message = MessageFile::empty();
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        let script = format!("printf mine >{}; exit 3", message.path());
        assert_eq!(Wrapper::new(place).args(urls).args(message.args()).shell(&script).run().code, 3);
        assert_eq!(message.read(), "mine");
    }

    fn a_message_that_cannot_be_written_changes_nothing(place: Place) {
        for file in ["/no/such/file", "/proc/self/status", "/", "/dev/full"] {
            let proxy = proxy(OnShutdown::NotEnabled);
            let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url(), "--message", file];
            assert_eq!(Wrapper::new(place).args(urls).shell("exit 3").run().code, 3, "{file}");
        }
    }
}

#[test]
fn a_port_whose_queue_is_full_is_given_up_in_time() {
    // Nobody accepts, and the queue is filled, so that connecting itself takes for ever.
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address");
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 20_000, "the queue never fills");
    }
    let url = format!("http://{address}/quit");
    let ended = Wrapper::new(Place::Plain).args(["--shutdown-first", &url]).shell("exit 3").run();
    assert_eq!(ended.code, 3);
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&ended.took), "{ended:?}");
}
