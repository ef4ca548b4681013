use serde_json::json;

use super::*;
use crate::{
    check::Unseen,
    explain::{gather::tests::around, pod::tests::meshed},
};

fn ended(exit: i32) -> Value {
    json!({"terminated": {"exitCode": exit, "finishedAt": "2026-01-01T00:00:00Z"}})
}

fn running() -> Value {
    json!({"running": {}})
}

/// A pod of the run's Job of this role.
fn pod_of(role: &str, container: &str, main: Value, proxy: Value, phase: &str) -> Value {
    let mut pod = meshed(&format!("run-{role}-x"), container, main, proxy);
    pod["metadata"]["labels"] = json!({"app": "k6", "k6_cr": "run", "job-name": format!("run-{role}")});
    pod["status"]["phase"] = json!(phase);
    pod
}

fn run(stage: &str, pods: Vec<Value>) -> TestRun {
    let object = json!({"metadata": {"namespace": "load", "name": "run"}, "spec": {"parallelism": 1}, "status": {"stage": stage}});
    TestRun { object, jobs: vec![], pods, initializer: None, starter: None, services: vec![], events: vec![] }
}

fn told(run: &TestRun) -> (bool, String) {
    let told = explain(run, &around(None));
    let lines: Vec<_> =
        told.lines.iter().map(|line| format!("{}: {}", line.about.name(), line.text)).collect();
    (told.hangs, lines.join("\n"))
}

fn hangs(run: &TestRun, words: &[&str]) {
    let (hangs, text) = told(run);
    assert!(hangs, "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{word} is not in: {text}"));
}

fn goes_on(run: &TestRun, words: &[&str]) {
    let (hangs, text) = told(run);
    assert!(!hangs, "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{word} is not in: {text}"));
}

#[test]
fn an_initializer_whose_proxy_lives_holds_its_run_in_initialization() {
    let held = pod_of("initializer", K6, ended(0), running(), "Running");
    hangs(
        &run("initialization", vec![held]),
        &[
            "linkerd-proxy of run-initializer-x runs on",
            "label --overwrite namespace load",
            "curfew rescue -n load run-initializer-x --yes",
        ],
    );
    let mut out = around(Some("enabled"));
    out.left_out_by = Some("00-curfew".to_owned());
    let held = pod_of("initializer", K6, ended(0), running(), "Running");
    let told = format!("{:?}", explain(&run("initialization", vec![held]), &out).lines);
    assert!(told.contains("00-curfew leaves load out") && !told.contains("kubectl label"), "{told}");
    let works = pod_of("initializer", K6, running(), running(), "Running");
    goes_on(&run("initialization", vec![works]), &["is at work"]);
    let done = pod_of("initializer", K6, ended(0), ended(0), "Succeeded");
    hangs(&run("initialization", vec![done]), &["more than a minute"]);
}

#[test]
fn an_initializer_that_is_refused_tells_the_api_servers_words() {
    let mut run = run("initialization", vec![]);
    run.events =
        vec!["FailedCreate: Error creating: failed calling webhook \"namespaces.curfew.dev\"".to_owned()];
    hangs(&run, &["failed calling webhook", "curfew check"]);
}

#[test]
fn an_error_is_told_by_the_initializers_end_or_its_log() {
    let well = || pod_of("initializer", K6, ended(0), ended(0), "Succeeded");
    let mut noisy = run("error", vec![well()]);
    noisy.initializer = Some(Ok("scuttle: starting\n{\"maxVUs\": 1}".to_owned()));
    hangs(&noisy, &["not JSON alone", "`scuttle: starting`"]);
    noisy.initializer = Some(Err(Unseen("you may not".to_owned())));
    hangs(&noisy, &["unseen: the log of run-initializer-x: you may not"]);
    let mut failed = run("error", vec![pod_of("initializer", K6, ended(107), ended(0), "Failed")]);
    failed.initializer = Some(Ok("…\nlevel=error msg=\"no such file\"\n".to_owned()));
    hangs(&failed, &["k6 exited 107", "no such file"]);
    let proxy = run("error", vec![pod_of("initializer", K6, ended(0), ended(143), "Failed")]);
    hangs(&proxy, &["k6 ended well", "linkerd-proxy exited 143"]);
    hangs(&run("error", vec![]), &["initializer is gone"]);
}

#[test]
fn runners_that_refuse_plain_http_hold_their_run_in_created() {
    let runner = || pod_of("1", K6, running(), running(), "Running");
    let with = |answer: Seen<Answer>| TestRun {
        services: vec![("run-service-1".to_owned(), answer)],
        ..run("created", vec![runner()])
    };
    let refused = |why: &str| with(Ok(Answer::Refused(why.to_owned())));
    hangs(
        &refused("503 connection reset by peer"),
        &["operator's GET of run-service-1", "STRICT", "port 6565"],
    );
    hangs(&refused("503 error trying to reach service: EOF"), &["STRICT"]);
    hangs(&refused("403 RBAC: access denied"), &["a policy of the mesh"]);
    // The port of a connection is no code.
    let port = "503 error trying to reach service: read tcp 10.244.0.1:40314->10.244.0.9:6565: read: connection reset by peer";
    hangs(&refused(port), &["(STRICT)"]);
    goes_on(&with(Ok(Answer::Up { paused: true })), &["makes the starter next"]);
    goes_on(&with(Err(Unseen("you may not".to_owned()))), &["you may not", "STRICT"]);
}

#[test]
fn runners_that_are_not_up_yet_are_waited_for_and_after_a_minute_they_hang() {
    let with = |since: &str, why: &[&str]| {
        let runner = pod_of("1", K6, json!({"running": {"startedAt": since}}), running(), "Running");
        let services = why.iter().map(|why| ("s".to_owned(), Ok(Answer::Refused((*why).to_owned()))));
        TestRun { services: services.collect(), ..run("created", vec![runner]) }
    };
    let (just, long) = ("2026-01-01T11:59:30Z", "2026-01-01T11:58:30Z");
    let refused = "503 error trying to reach service: dial tcp 10.0.0.1:6565: connect: connection refused";
    // As a permissive proxy has it, whose `reset` is none.
    let envoy = "503 upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport \
                 failure reason: delayed connect error: Connection refused";
    let away = "503 no endpoints available for service \"http:load-1403-service-1:6565\"";
    for (why, meaning) in
        [(away, "not Ready"), (refused, "does not listen yet"), (envoy, "does not listen yet")]
    {
        goes_on(&with(just, &[why]), &["not all answer yet", meaning]);
        assert!(
            !told(&with(just, &[why])).1.contains("mend: "),
            "a run that is about to begin is left alone"
        );
        hangs(
            &with(long, &[why]),
            &["state: created: hangs", meaning, "describe pods -l k6_cr=run`", "port 6565"],
        );
    }
    hangs(&with(just, &[away, "503 connection reset by peer"]), &["STRICT"]);
}

#[test]
fn a_control_port_that_was_left_in_the_mesh_is_told_to_be() {
    let mut inside = around(Some("enabled"));
    inside.namespace.annotations.insert(K6_CONTROL_PORT.to_owned(), "mesh".to_owned());
    let runner = pod_of("1", K6, running(), running(), "Running");
    let run = TestRun {
        services: vec![("s".to_owned(), Ok(Answer::Refused("403".to_owned())))],
        ..run("created", vec![runner])
    };
    let told = explain(&run, &inside);
    assert!(
        told.lines.iter().any(|line| line.about == About::Mend && line.text.contains("is `mesh`")),
        "{told:?}"
    );
}

#[test]
fn a_runner_that_ended_early_or_never_came_holds_the_others() {
    hangs(
        &run("created", vec![pod_of("1", K6, ended(105), running(), "Running")]),
        &["ended with 105", "liveness"],
    );
    hangs(&run("created", vec![]), &["0 of 1 runners have a pod"]);
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "none"}});
    hangs(&run("created", vec![pod_of("1", K6, waiting, running(), "Pending")]), &["ImagePullBackOff"]);
}

#[test]
fn runners_whose_proxies_live_hold_their_run_in_started() {
    let held = pod_of("1", K6, ended(0), running(), "Running");
    hangs(
        &run("started", vec![held]),
        &["linkerd-proxy of run-1-x runs on although k6 has ended, as in 1 of 1 runners"],
    );
    goes_on(&run("started", vec![pod_of("1", K6, running(), running(), "Running")]), &["at work in 1 of 1"]);
}

#[test]
fn a_starter_that_was_refused_is_told_although_its_job_is_complete() {
    let runner = || pod_of("1", K6, running(), running(), "Running");
    let with = |exit: i32, log: &str| {
        let starter = pod_of("starter", CURL, ended(exit), ended(0), "Succeeded");
        TestRun { starter: Some(Ok(log.to_owned())), ..run("started", vec![runner(), starter]) }
    };
    let answer = |code: &str| {
        format!(
            "\n{{\"http_code\":{code},\"time_total\":0.1,\"url\":\"http://10.0.0.1:6565/v1/status\",\"errormsg\":\"\"}}"
        )
    };
    hangs(
        &with(0, &answer("403")),
        &["refused with 403, although its Job is Complete", "http://10.0.0.1:6565", "policy"],
    );
    hangs(&with(0, &answer("503")), &["refused with 503", "mTLS"]);
    hangs(&with(7, &answer("000")), &["no answer", "proxy was not ready"]);
    hangs(&with(7, ""), &["ended with 7: the connection was refused"]);
    // The first runner's answer counts as much as the last.
    hangs(&with(0, &(answer("403") + &answer("200"))), &["403"]);
    goes_on(&with(0, &answer("200")), &["at work"]);
}

#[test]
fn runners_that_stay_paused_after_their_starter_are_told_without_its_log() {
    let runner = pod_of("1", K6, running(), running(), "Running");
    let mut run = run("started", vec![runner]);
    run.services = vec![("s".to_owned(), Ok(Answer::Up { paused: true }))];
    goes_on(&run, &["at work"]);
    run.jobs = vec![
        json!({"metadata": {"name": "run-starter"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
    ];
    hangs(&run, &["1 runners are paused"]);
}

#[test]
fn a_run_without_active_runners_is_about_to_finish_and_one_without_a_stage_has_no_operator() {
    let job = json!({"metadata": {"name": "run-1"}, "status": {"succeeded": 1}});
    let over =
        TestRun { jobs: vec![job], ..run("started", vec![pod_of("1", K6, ended(0), ended(0), "Succeeded")]) };
    goes_on(&over, &["within 15 s"]);
    goes_on(&run("", vec![]), &["no operator"]);
    goes_on(&run("finished", vec![]), &["waits for nothing"]);
}
