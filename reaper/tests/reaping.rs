//! The reaper learns from its `done` file or from tombstones that the mains are done, and from nothing else.

mod support;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use curfew_tests::standin::{OnShutdown, StandIn};
use support::{
    MessageFile, Place, Running, Wrapper,
    pod::{OTHER_UID, Pod, UID},
};

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
/// Far less than what it would wait for otherwise, which is for ever.
const AT_ONCE: Duration = Duration::from_secs(5);

fn proxy() -> StandIn {
    StandIn::linkerd(LOOPBACK).any_port().on_shutdown(OnShutdown::Ok).start().expect("a stand-in")
}

fn quitting(reaper: Wrapper, proxy: &StandIn, message: &MessageFile) -> Wrapper {
    reaper.args(["--shutdown", &proxy.shutdown_url()]).args(message.args())
}

/// It ends by itself, having quit the proxy once.
fn quits(running: Running, proxy: &StandIn, message: &MessageFile) {
    let ended = running.finish();
    assert_eq!((ended.code, ended.stdout.as_str(), message.read().as_str()), (0, "", ""));
    assert_eq!(proxy.shutdown_requests().len(), 1);
    assert!(proxy.is_quit());
}

/// Told to leave it does so at once. It judges once more before that, so it would ask the proxy if it thought that the
/// mains were done.
fn leaves_without_a_request(mut running: Running, proxy: &StandIn) {
    let pid = running.pid();
    assert!(running.is_running());
    let since = Instant::now();
    support::kill(pid, 15);
    assert_eq!(running.finish().code, 0);
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert!(proxy.shutdown_requests().is_empty());
}

plain_and_as_pid_one! {
    fn the_proxy_is_quit_when_the_kubelet_swaps_in_the_pods_uid(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let running = quitting(pod.reaper(place), &proxy, &message).start();
        running.pid();
        pod.project(UID);
        quits(running, &proxy, &message);
    }

    fn what_was_there_before_it_counts(place: Place) {
        for content in [UID.to_owned(), format!(" {UID}\n")] {
            let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
            pod.project(content);
            quits(quitting(pod.reaper(place), &proxy, &message).start(), &proxy, &message);
        }
    }

    fn whatever_is_not_the_pods_uid_is_ignored(place: Place) {
        let huge = vec![b'x'; 1 << 22];
        let padded = [UID.as_bytes(), &[b' '; 4096]].concat();
        let prefix = &UID.as_bytes()[..UID.len() - 1];
        let quoted = format!("\"{UID}\"");
        let more = format!("{UID}\n{OTHER_UID}");
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        for content in [
            OTHER_UID.as_bytes(), b"", b" \n", prefix, quoted.as_bytes(), more.as_bytes(), b"\xff\0\xfe", &huge, &padded,
        ] {
            pod.project(content);
            leaves_without_a_request(quitting(pod.reaper(place), &proxy, &message).start(), &proxy);
            assert_eq!(message.read(), "", "a copied annotation is nobody's trouble");
        }
    }

    fn many_swaps_come_to_what_the_last_one_says(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let running = quitting(pod.reaper(place), &proxy, &message).start();
        running.pid();
        for round in 0..500 {
            pod.project(if round % 2 == 0 { OTHER_UID } else { "" });
        }
        assert!(proxy.shutdown_requests().is_empty());
        pod.project(UID);
        quits(running, &proxy, &message);
    }

    fn all_tombstones_are_as_good(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let running = quitting(pod.reaper_beside(place, 2), &proxy, &message).start();
        running.pid();
        pod.leave_tombstone("a");
        fs::write(pod.run().join("output"), "of the command's own").expect("write");
        pod.leave_tombstone("b");
        quits(running, &proxy, &message);
    }

    fn a_main_that_runs_again_takes_its_tombstone_back(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let mut running = quitting(pod.reaper_beside(place, 2), &proxy, &message).start();
        running.pid();
        for _ in 0..50 {
            for (main, _) in [("a", "b"), ("b", "a")] {
                pod.leave_tombstone(main);
                pod.remove_tombstone(main);
            }
        }
        pod.leave_tombstone("a");
        assert!(running.is_running() && proxy.shutdown_requests().is_empty());
        leaves_without_a_request(running, &proxy);
    }

    fn tombstones_alone_start_no_minute_for_a_sidecar_whose_image_is_still_to_come(place: Place) {
        // Long after the tombstone is gone again, on a machine that is busy with something else too.
        let late = Duration::from_secs(12);
        let proxy = StandIn::linkerd(LOOPBACK).any_port().ready_after(late).start().expect("a stand-in");
        let (pod, message) = (Pod::new(), MessageFile::empty());
        let running = quitting(pod.reaper_beside(place, 1), &proxy, &message).start();
        running.pid();
        pod.leave_tombstone("main");
        // Longer than the last wrapper has precedence: it would be at it.
        thread::sleep(Duration::from_millis(1500));
        pod.remove_tombstone("main");
        let port = proxy.shutdown_url();
        let port = port.trim_start_matches("http://").split('/').next().expect("its address").to_owned();
        support::eventually("the sidecar is up", || TcpStream::connect(&port).ok());
        leaves_without_a_request(running, &proxy);
        assert_eq!(message.read(), "");
    }

    fn a_marker_means_that_nobody_has_to_be_asked(place: Place) {
        for early in [true, false] {
            let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
            let reaper = quitting(pod.reaper_beside(place, 1), &proxy, &message);
            if early {
                pod.leave_marker();
            }
            let running = reaper.start();
            if !early {
                running.pid();
                pod.leave_marker();
            }
            assert_eq!(running.finish().code, 0);
            assert!(proxy.shutdown_requests().is_empty());
            assert_eq!(message.read(), "");
        }
    }

    fn the_last_wrapper_goes_first(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let reaper = quitting(pod.reaper_beside(place, 1), &proxy, &message).start();
        reaper.pid();
        let urls = ["--ready", &proxy.ready_url(), "--shutdown", &proxy.shutdown_url()];
        assert_eq!(pod.wrapper("main", 1).args(urls).shell("exit 3").run().code, 3);
        quits(reaper, &proxy, &message);
    }

    fn told_to_leave_while_a_main_runs_it_leaves_the_proxy_alone(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        for signal in [15, 2, 3] {
            support::at_once(|| {
                let running = quitting(pod.reaper_beside(place, 1), &proxy, &message).start();
                // Log rotations and terminals are not meant for it.
                [1, 10, 12, 17, 18, 23, 28].into_iter().for_each(|harmless| running.signal(harmless));
                let since = Instant::now();
                running.signal(signal);
                assert_eq!(running.finish().code, 0);
                since.elapsed()
            });
        }
        assert!(proxy.shutdown_requests().is_empty());
        assert_eq!(message.read(), "");
    }

    fn a_directory_in_the_files_place_is_told_and_the_rest_still_counts(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        fs::remove_file(pod.done()).expect("remove");
        fs::create_dir(pod.done()).expect("create");
        let running = quitting(pod.reaper_beside(place, 1), &proxy, &message).start();
        running.pid();
        pod.leave_tombstone("main");
        assert_eq!(running.finish().code, 0);
        assert!(proxy.is_quit());
        let expected = format!("curfew-reaper: cannot read {}: ", pod.done().display());
        assert!(message.line().starts_with(&expected), "{}", message.line());
    }

    fn a_directory_that_takes_its_place_while_it_waits_can_be_replaced_in_turn(place: Place) {
        let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
        let running = quitting(pod.reaper(place), &proxy, &message).start();
        running.pid();
        fs::remove_file(pod.done()).expect("remove");
        fs::create_dir(pod.done()).expect("create");
        fs::remove_dir(pod.done()).expect("remove");
        pod.project(UID);
        quits(running, &proxy, &message);
    }

    fn directories_that_come_later_or_anew_are_found(place: Place) {
        for earlier in [false, true] {
            let (pod, proxy, message) = (Pod::without_done(), proxy(), MessageFile::empty());
            if earlier {
                fs::create_dir(pod.done_directory()).expect("create");
            }
            fs::remove_dir(pod.run()).expect("remove");
            let running = quitting(pod.reaper_beside(place, 1), &proxy, &message).start();
            running.pid();
            if earlier {
                fs::rename(pod.done_directory(), pod.run().with_file_name("gone")).expect("rename");
            }
            fs::create_dir(pod.run()).expect("create");
            fs::create_dir(pod.done_directory()).expect("create");
            pod.project(UID);
            quits(running, &proxy, &message);
        }
    }

    fn missing_directories_are_told_when_it_leaves(place: Place) {
        let (pod, proxy, message) = (Pod::without_done(), proxy(), MessageFile::empty());
        fs::remove_dir(pod.run()).expect("remove");
        leaves_without_a_request(quitting(pod.reaper_beside(place, 1), &proxy, &message).start(), &proxy);
        for missing in [pod.done(), pod.run()] {
            assert!(message.line().contains(&format!("cannot read {}: ", missing.display())), "{}", message.line());
        }
    }
}

#[test]
fn without_inotify_it_looks_now_and_then() {
    // A user namespace of its own has a limit of its own on what a node may have given away.
    let starve = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
    let reaper = quitting(pod.reaper(Place::Plain), &proxy, &message);
    let running = reaper.under(["unshare", "--user", "--map-root-user", "sh", "-c", starve]).start();
    let pid = running.pid();
    pod.project(OTHER_UID);
    assert!(fs::read_dir(format!("/proc/{pid}/fd")).expect("list").all(|descriptor| {
        let link = descriptor.and_then(|descriptor| fs::read_link(descriptor.path()));
        // One that was closed meanwhile has no link.
        !link.is_ok_and(|link| link.as_os_str() == "anon_inode:inotify")
    }));
    pod.project(UID);
    quits(running, &proxy, &message);
}

#[test]
fn what_inotify_does_not_tell_of_is_seen_all_the_same() {
    if support::runner().is_some() {
        return; // qemu's system calls are not its guest's
    }
    let (pod, proxy, message) = (Pod::new(), proxy(), MessageFile::empty());
    let reaper = quitting(pod.reaper(Place::Plain), &proxy, &message);
    let running = reaper.under(["unshare", "--user", "--map-root-user", "--mount"]).start();
    support::sleeps_for_good(&running);
    // Nothing happens to the directory that is watched; another covers it.
    let other = Pod::new();
    other.project(UID);
    let covered = Command::new("nsenter")
        .args(["--user", "--mount", "--preserve-credentials", "--target", &running.pid().to_string()])
        .args(["mount", "--bind"])
        .args([other.done_directory(), pod.done_directory()])
        .status();
    assert!(covered.expect("nsenter").success());
    quits(running, &proxy, &message);
}

#[test]
fn while_it_waits_it_sleeps_and_a_sidecar_that_ended_by_itself_is_not_waited_for() {
    if support::runner().is_some() {
        return; // qemu's system calls are not its guest's
    }
    let pod = Pod::new();
    let sidecar = TcpListener::bind("127.0.0.1:0").expect("listen");
    let url = format!("http://{}/quit", sidecar.local_addr().expect("its address"));
    let running = pod.reaper_beside(Place::Plain, 1).args(["--shutdown", &url]).start();
    support::sleeps_for_good(&running);
    drop(sidecar);
    let since = Instant::now();
    pod.project(UID);
    assert_eq!(running.finish().code, 0);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
