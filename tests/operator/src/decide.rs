//! What follows from what was seen, stage by stage. Nothing here asks or changes anything.

use std::time::Duration;

use serde::Deserialize;

/// When to look at a TestRun again, unless something that is watched moves first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Again {
    Never,
    After(Duration),
    /// After the delay that grows with every time in a row.
    BackOff,
}

/// What to do with a TestRun in its stage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Stay, for this reason.
    Wait(String, Again),
    /// Go on, having seen this.
    Go(String),
    /// Stage `error`, for ever.
    Fail(String),
}

/// How the initializer is asked for again, by the clock.
pub(crate) const INITIALIZER_POLL: Duration = Duration::from_secs(5);
/// Earlier run's Jobs are waited for this long, looked at every so often.
const EARLIER_RUN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
const RUNNERS_POLL: Duration = Duration::from_secs(1);
const FINISH_POLL: Duration = Duration::from_secs(15);
/// From then on the log says that it takes too long. Nothing else comes of it.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(300);

/// `k6 inspect`'s output, as far as it decides. All of the log must be this and nothing else.
#[derive(Debug, Deserialize)]
struct Inspection {
    #[serde(rename = "maxVUs")]
    max_vus: Option<u64>,
    #[serde(rename = "totalDuration")]
    total_duration: Option<serde_json::Value>,
}

/// Stage `initialization`: the phase of the initializer's pod. `Go` means: read its log.
pub(crate) fn initializer_pod(phase: Option<&str>) -> Next {
    let wait = |why: &str| Next::Wait(why.to_owned(), Again::After(INITIALIZER_POLL));
    match phase {
        None => wait("no initializer pod found yet"),
        Some("Failed") => Next::Fail("the initializer's pod is Failed".to_owned()),
        Some("Succeeded") => Next::Go("the initializer's pod is Succeeded".to_owned()),
        Some(other) => wait(&format!("the initializer's pod is {other}, not Succeeded")),
    }
}

/// Stage `initialization`: the whole log of its container `k6`. One try, whatever went wrong.
pub(crate) fn initializer_log(log: Result<&str, &str>, parallelism: i64) -> Next {
    let log = match log {
        Ok(log) => log,
        Err(error) => return Next::Fail(format!("can't read the initializer's log: {error}")),
    };
    match serde_json::from_str::<Inspection>(log) {
        Err(error) => Next::Fail(format!("the initializer's log is not JSON ({error}): `{log}`")),
        Ok(read) => {
            let vus = read.max_vus.unwrap_or(0);
            if i64::try_from(vus).unwrap_or(i64::MAX) < parallelism {
                let why = format!("parallelism {parallelism} is larger than the script's {vus} VUs");
                return Next::Fail(why);
            }
            let duration = read.total_duration.unwrap_or_default();
            Next::Go(format!("k6 inspect: maxVUs {vus}, totalDuration {duration}"))
        }
    }
}

/// Stage `initialized`: a runner's Job that is there already. `inspected` is how long it has been known that this is no
/// cloud test: the original tells an earlier run from its own half-done work by nothing but the time.
pub(crate) fn earlier_run(job: Option<&str>, inspected: Option<Duration>) -> Next {
    let Some(job) = job else { return Next::Go("no earlier run".to_owned()) };
    let why = format!("job with the name {job} exists; make sure you've deleted your previous run");
    let again = match inspected {
        Some(since) if since > EARLIER_RUN.0 => Again::BackOff,
        _ => Again::After(EARLIER_RUN.1),
    };
    Next::Wait(why, again)
}

/// Stage `created`: exactly all runners run, at one instant. One that has ended already is one too few for ever.
pub(crate) fn runners(running: usize, parallelism: i64) -> Next {
    let seen = format!("{running}/{parallelism} runner pods are Running");
    if i64::try_from(running) == Ok(parallelism) {
        Next::Go(seen)
    } else {
        Next::Wait(seen, Again::After(RUNNERS_POLL))
    }
}

/// Stage `created`: whether a Service answered its GET, and how. The first that doesn't ends the round.
pub(crate) fn service(name: &str, answer: Result<u16, &str>) -> Next {
    match answer {
        Ok(status) if status < 400 => Next::Go(format!("{name} answers {status}")),
        Ok(status) => Next::Wait(format!("{name} service is not ready: it answers {status}"), Again::BackOff),
        Err(error) => Next::Wait(format!("{name} service is not ready: {error}"), Again::BackOff),
    }
}

/// A runner's Job: its active and failed pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods {
    pub(crate) active: i32,
    pub(crate) failed: i32,
}

/// Stage `started`: a Job without active pods has finished; how is nobody's business.
pub(crate) fn jobs(jobs: &[Pods], parallelism: i64) -> Next {
    let ended: Vec<_> = jobs.iter().filter(|job| job.active == 0).collect();
    let failed = ended.iter().filter(|job| job.failed > 0).count();
    let seen = format!("{}/{parallelism} jobs complete, {failed} failed", ended.len());
    if i64::try_from(ended.len()).is_ok_and(|ended| ended >= parallelism) {
        Next::Go(seen)
    } else {
        Next::Wait(seen, Again::After(FINISH_POLL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(next: &Next) -> Option<Again> {
        match next {
            Next::Wait(_, again) => Some(*again),
            _ => None,
        }
    }

    #[test]
    fn an_initializer_whose_sidecar_lives_is_waited_for_without_end() {
        for phase in [None, Some("Pending"), Some("Running")] {
            assert_eq!(waits(&initializer_pod(phase)), Some(Again::After(INITIALIZER_POLL)));
        }
        assert!(matches!(initializer_pod(Some("Failed")), Next::Fail(_)));
        assert!(matches!(initializer_pod(Some("Succeeded")), Next::Go(_)));
    }

    #[test]
    fn one_byte_beside_the_json_is_an_error() {
        let good = r#"{"totalDuration": "3s", "maxVUs": 2}"#;
        assert!(matches!(initializer_log(Ok(good), 2), Next::Go(_)));
        assert!(matches!(initializer_log(Ok(&format!("{good}\n \n")), 2), Next::Go(_)));
        for log in [format!("x\n{good}"), format!("{good}\nx"), String::new()] {
            assert!(matches!(initializer_log(Ok(&log), 2), Next::Fail(_)), "{log}");
        }
        assert!(matches!(initializer_log(Err("reset"), 2), Next::Fail(_)));
    }

    #[test]
    fn more_runners_than_vus_is_an_error_and_no_vus_are_none() {
        assert!(matches!(initializer_log(Ok(r#"{"maxVUs": 2}"#), 3), Next::Fail(_)));
        assert!(matches!(initializer_log(Ok("{}"), 1), Next::Fail(_)));
        assert!(matches!(initializer_log(Ok(r#"{"maxVUs": null}"#), 1), Next::Fail(_)));
    }

    #[test]
    fn an_earlier_run_is_waited_for_until_it_is_an_error() {
        assert!(matches!(earlier_run(None, None), Next::Go(_)));
        assert_eq!(waits(&earlier_run(Some("a-1"), None)), Some(Again::After(EARLIER_RUN.1)));
        assert_eq!(waits(&earlier_run(Some("a-1"), Some(EARLIER_RUN.0))), Some(Again::After(EARLIER_RUN.1)));
        assert_eq!(waits(&earlier_run(Some("a-1"), Some(Duration::from_secs(31)))), Some(Again::BackOff));
    }

    #[test]
    fn runners_must_all_run_at_once() {
        assert_eq!(waits(&runners(1, 2)), Some(Again::After(RUNNERS_POLL)));
        assert_eq!(waits(&runners(3, 2)), Some(Again::After(RUNNERS_POLL)));
        assert!(matches!(runners(2, 2), Next::Go(_)));
    }

    #[test]
    fn a_refused_request_backs_off_as_a_lost_one_does() {
        assert_eq!(waits(&service("s", Ok(403))), Some(Again::BackOff));
        assert_eq!(waits(&service("s", Err("connection reset"))), Some(Again::BackOff));
        assert!(matches!(service("s", Ok(302)), Next::Go(_)));
    }

    #[test]
    fn jobs_without_active_pods_are_finished_failed_or_not() {
        let (active, done, failed) =
            (Pods { active: 1, failed: 0 }, Pods { active: 0, failed: 0 }, Pods { active: 0, failed: 1 });
        assert_eq!(waits(&jobs(&[active, done], 2)), Some(Again::After(FINISH_POLL)));
        assert_eq!(jobs(&[failed, done], 2), Next::Go("2/2 jobs complete, 1 failed".to_owned()));
    }
}
