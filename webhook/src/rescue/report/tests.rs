use serde_json::json;

use super::*;
use crate::rescue::Holder;

fn hanging(kind: Kind, no_swap: Option<&str>) -> Hanging {
    let holder = Holder { container: "proxy".to_owned(), kind, no_swap: no_swap.map(str::to_owned) };
    Hanging {
        namespace: "ns".to_owned(),
        pod: "report-x".to_owned(),
        uid: "u".to_owned(),
        since: "2026-01-01T00:00:00Z".parse().ok(),
        left: None,
        sidecars: vec![holder],
        swap_counts_as_restart: false,
        restarts: 0,
        job: None,
        backoff_limit: None,
    }
}

fn sidecar(endpoint: Option<&str>) -> Kind {
    let no_endpoint = endpoint.is_none().then(|| "no shutdown endpoint known".to_owned());
    Kind::Sidecar { row: "row".to_owned(), endpoint: endpoint.map(str::to_owned), no_endpoint }
}

fn reaper(told: bool, waits: Option<&str>) -> Kind {
    Kind::Reaper { told, waits: waits.map(str::to_owned) }
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

#[test]
fn the_table_says_what_would_be_done_and_why() {
    let url = Some("http://127.0.0.1:1/quit");
    let restart = Hanging { swap_counts_as_restart: true, ..hanging(sidecar(None), None) };
    let left = Hanging { left: Some("Argo does".to_owned()), ..hanging(sidecar(url), None) };
    let pods = [
        hanging(sidecar(url), None),
        restart,
        hanging(sidecar(url), Some("its command /x is not in the no-op image")),
        hanging(sidecar(None), Some("its command /x is not in the no-op image")),
        hanging(reaper(false, None), None),
        hanging(reaper(true, None), None),
        hanging(reaper(true, Some("ImagePullBackOff")), None),
        left,
    ];
    let expected = "\
NAMESPACE   POD        HANGS-SINCE   SIDECARS   HOW                    NOTE
ns          report-x   90s           proxy      endpoint, else image
ns          report-x   90s           proxy      image                  proxy: no shutdown endpoint known; a swapped image counts as a restart: with a backoffLimit of 0 or 1 the Job may fail
ns          report-x   90s           proxy      endpoint               proxy: http://127.0.0.1:1/quit only, for its command /x is not in the no-op image
ns          report-x   90s           proxy      none                   proxy: its command /x is not in the no-op image; delete the pod, or its Job
ns          report-x   90s           proxy      signal                 proxy: never told that the mains are done
ns          report-x   90s           proxy      wait                   proxy: was told that the mains are done, and has not left yet
ns          report-x   90s           proxy      image                  proxy: does not run, as it is in ImagePullBackOff
ns          report-x   90s           proxy      left                   Argo does
";
    assert_eq!(table(&pods, at("2026-01-01T00:01:30Z")), expected);
}

#[test]
fn what_a_restart_does_depends_on_the_jobs_limit_and_the_restarts_so_far() {
    for (limit, restarts, said) in [
        (0, 0, "the Job's backoffLimit is 0, so it may fail"),
        (1, 0, "the Job's backoffLimit is 1, so it may fail"),
        (2, 0, "the Job's backoffLimit of 2 takes it"),
        (2, 1, "the Job's backoffLimit is 2, so it may fail"),
        (6, 4, "the Job's backoffLimit of 6 takes it"),
    ] {
        let pod = Hanging {
            swap_counts_as_restart: true,
            restarts,
            backoff_limit: Some(limit),
            ..hanging(sidecar(Some("http://127.0.0.1:1/quit")), None)
        };
        assert_eq!(note(&pod), format!("a swapped image counts as a restart: {said}"));
    }
    // A reaper is swapped only where it does not run.
    for (waits, counts) in [(None, false), (Some("CrashLoopBackOff"), true)] {
        let pod = Hanging { swap_counts_as_restart: true, ..hanging(reaper(false, waits), None) };
        assert_eq!(note(&pod).contains("restart"), counts, "{}", note(&pod));
    }
}

#[test]
fn ages_are_told_as_kubectl_tells_them() {
    for (seconds, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")] {
        assert_eq!(ago(seconds), text);
    }
    // A clock that goes wrong.
    assert_eq!(age(at("2026-01-01T00:00:10Z"), at("2026-01-01T00:00:00Z")).as_secs(), 0);
}

#[test]
fn scripts_get_the_same_and_what_became_of_it() {
    let outcome = Outcome {
        ended: Some("Succeeded".to_owned()),
        did: vec!["proxy: image swapped".to_owned()],
        missing: Vec::new(),
        seconds: 2.5,
    };
    let pod = hanging(sidecar(None), None);
    assert_eq!(line(&pod, &outcome), "ns/report-x: Succeeded after 2.5 s (proxy: image swapped)");
    assert_eq!(
        found_as_json(&[pod], &[Some(outcome)]),
        json!([{
            "namespace": "ns", "pod": "report-x", "uid": "u", "since": "2026-01-01T00:00:00Z",
            "sidecars": [{"container": "proxy", "is": "sidecar", "row": "row",
                          "noEndpoint": "no shutdown endpoint known"}],
            "swapCountsAsRestart": false, "restarts": 0,
            "outcome": {"ended": "Succeeded", "did": ["proxy: image swapped"], "seconds": 2.5},
        }])
    );
}
