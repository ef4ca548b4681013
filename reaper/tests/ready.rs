//! The proxies are waited for, whichever way they are not ready.

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::{StandIn, Unready};
use support::{Place, Wrapper};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

#[test]
fn ready_waits_for_all_and_for_every_way_to_be_unready() {
    let ways =
        [Unready::Closed, Unready::Answers(503), Unready::Answers(404), Unready::Garbage, Unready::Drop];
    thread::scope(|scope| {
        for unready in ways {
            scope.spawn(move || {
                let late = Duration::from_millis(500);
                let since = Instant::now();
                let builder = StandIn::istio(LOOPBACK).any_port().ready_after(late).unready(unready);
                let [proxy, other] =
                    [builder, StandIn::envoy(LOOPBACK).any_port()].map(|b| b.start().expect("a stand-in"));
                let urls = ["--ready", &proxy.ready_url(), "--ready", &other.ready_url()];
                let ended = Wrapper::new(Place::Plain).args(urls).shell("echo started").run();
                assert_eq!((ended.code, ended.stdout.as_str()), (0, "started\n"), "{unready:?}");
                assert!(since.elapsed() >= late, "{unready:?}");
            });
        }
    });
}

#[test]
fn a_stalled_ready_answer_is_given_up_and_asked_again() {
    let late = Duration::from_millis(1500);
    let builder = StandIn::istio(LOOPBACK).any_port().ready_after(late).unready(Unready::Stall);
    let proxy = builder.start().expect("a stand-in");
    let ended = Wrapper::new(Place::Plain).args(["--ready", &proxy.ready_url()]).shell("echo started").run();
    assert_eq!(ended.stdout, "started\n");
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
}
