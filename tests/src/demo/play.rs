//! The two acts: the pods as their mesh left them, and as Curfew patched them.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    fixtures::{Cast, Role},
    http,
    kubelet::{Phase, RunningPod},
    mesh::Mesh,
    node::Node,
    operator::{Operator, PATIENCE, Pods, find, main_of, runners},
    outcome::Outcome,
    pod::RestartPolicy,
    story::{Look, Story, short},
};

/// How long a pod is watched after its work has ended, before it is said to hang. The proxy would outlive any
/// time.
const OBSERVED: Duration = Duration::from_millis(2500);
/// curl's exit code for a refused connection.
const CURL_REFUSED: i32 = 7;
/// k6's exit code for crossed thresholds.
const THRESHOLDS_CROSSED: i32 = 99;

const FIRST: [Role; 3] = [Role::Initializer, Role::CronJob, Role::FailingJob];
const RUNNERS: [Role; 2] = [Role::Runner(1), Role::Runner(2)];

/// Runs the pods as they came from the mesh.
pub(super) fn unpatched(
    node: &Arc<Node>,
    story: &Story,
    mesh: Mesh,
    cast: &[Cast],
) -> anyhow::Result<Vec<Outcome>> {
    let operator = Operator { node, story, mesh, variant: "unpatched" };
    let mut pods = Pods::new();
    operator.create(cast, &FIRST, &mut pods)?;

    let initializer = find(&pods, Role::Initializer)?;
    let mut outcomes = vec![initializer_hangs(&operator, initializer)];
    if !initializer.wait(PATIENCE, |state| state.phase == Phase::Succeeded) {
        story.check(false, format_args!("{mesh}: with its proxy ended by hand the initializer succeeds"));
        return Ok(outcomes);
    }

    operator.create(cast, &RUNNERS, &mut pods)?;
    story.check(operator.wait_for_runners(&pods), format_args!("{mesh}: the runners answer the operator"));
    operator.create(cast, &[Role::Starter], &mut pods)?;
    let started = work_ended(find(&pods, Role::Starter)?, mesh);
    match started {
        Some(CURL_REFUSED) => {
            let says = "starter exit 7: its proxy was not there yet; nobody looks, the runners stay paused";
            story.event(mesh, Look::Bad, says);
        }
        Some(0) => story.event(mesh, Look::Plain, "starter exit 0, the test runs"),
        _ => {}
    }
    // Linkerd's hook holds the main back, Istio has none by default, and our Envoy's pods do not redirect
    // curl.
    let expected = if mesh == Mesh::Istio { CURL_REFUSED } else { 0 };
    story.check(
        started == Some(expected),
        format_args!("{mesh}: the starter exits {expected}, not {started:?}"),
    );
    for (role, pod) in &pods {
        if started == Some(0) || !matches!(role, Role::Runner(_)) {
            let ended = work_ended(pod, mesh).is_some();
            story.check(ended, format_args!("{mesh}: the main of {} ends", pod.placed.pod.job_name()));
        }
    }
    if node.real.is_some() {
        let crossed = runners(&pods).all(|runner| code(runner, mesh) == Some(THRESHOLDS_CROSSED));
        story.check(crossed, "without Curfew k6 calls before Envoy is up and exits 99");
        story.event(mesh, Look::Bad, "runners exit 99: their first requests came before their proxy was up");
    }
    thread::sleep(OBSERVED);
    let others = pods.iter().filter(|(role, _)| *role != Role::Initializer);
    outcomes.extend(others.map(|(role, pod)| Outcome::of(*role, pod, mesh)));
    for outcome in &outcomes {
        story.check(!outcome.is_over(), format_args!("{mesh}: {} hangs without Curfew", outcome.job));
    }
    let hung = outcomes.iter().filter(|outcome| !outcome.is_over()).count();
    let says = format!("{} later {hung} of {} pods still run", short(OBSERVED), outcomes.len());
    story.event(mesh, Look::Bad, says);
    Ok(outcomes)
}

/// The initializer's main ends, its pod does not; then somebody ends the proxy by hand, so that we see more.
fn initializer_hangs(operator: &Operator<'_>, initializer: &RunningPod) -> Outcome {
    let Operator { story, mesh, .. } = *operator;
    let ended = work_ended(initializer, mesh);
    story.check(ended == Some(0), format_args!("{mesh}: the initializer's k6 exits 0, not {ended:?}"));
    let inspection = operator.read_inspection(initializer);
    story.check(inspection.is_ok(), format_args!("{mesh}: the initializer's log is JSON: {inspection:?}"));
    story.event(mesh, Look::Plain, "initializer exit 0, its log is the JSON the operator wants");
    thread::sleep(OBSERVED);
    let outcome = Outcome::of(Role::Initializer, initializer, mesh);
    if mesh == Mesh::Linkerd {
        let answer = http::post_status(&format!("http://{}:4191/shutdown", initializer.placed.address));
        story.check(
            answer == Some(404),
            format_args!("Linkerd's shutdown endpoint is closed, not {answer:?}"),
        );
        story.event(
            mesh,
            Look::Dim,
            "(its /shutdown answers 404: Linkerd keeps it closed unless told otherwise)",
        );
    }
    let says = format!("{} later its pod is still Running: the operator waits for ever", short(OBSERVED));
    story.event(mesh, Look::Bad, says);
    story.event(mesh, Look::Dim, "(we end that proxy by hand, to see what comes next)");
    initializer.end_container(mesh.proxy());
    outcome
}

/// Runs the pods as Curfew patched them.
pub(super) fn patched(
    node: &Arc<Node>,
    story: &Story,
    mesh: Mesh,
    cast: &[Cast],
) -> anyhow::Result<Vec<Outcome>> {
    let operator = Operator { node, story, mesh, variant: "patched" };
    let mut pods = Pods::new();
    operator.create(cast, &FIRST, &mut pods)?;

    let initializer = find(&pods, Role::Initializer)?;
    let over = initializer.wait(PATIENCE, |state| state.is_over());
    let inspection = operator.read_inspection(initializer);
    let says = format_args!("{mesh}: the patched initializer's log is JSON: {inspection:?}");
    if story.check(inspection.is_ok(), says) && over {
        story.event(mesh, Look::Good, "initializer over, its log still nothing but JSON");
    }
    operator.create(cast, &RUNNERS, &mut pods)?;
    if story.check(
        operator.wait_for_runners(&pods),
        format_args!("{mesh}: the patched runners answer the operator"),
    ) {
        story.event(mesh, Look::Plain, "both runners Running and answering, paused");
    }
    operator.create(cast, &[Role::Starter], &mut pods)?;
    let starter = find(&pods, Role::Starter)?;
    if starter.wait(PATIENCE, |state| state.phase == Phase::Succeeded) {
        story.event(mesh, Look::Good, "starter over, the test runs");
    }
    let until = Instant::now() + PATIENCE;
    for (_, pod) in &pods {
        pod.wait(until.saturating_duration_since(Instant::now()), |state| state.is_over());
    }
    let outcomes: Vec<Outcome> = pods.iter().map(|(role, pod)| Outcome::of(*role, pod, mesh)).collect();
    let ended = outcomes.iter().filter(|outcome| judge(story, outcome)).count();
    let look = if ended == outcomes.len() { Look::Good } else { Look::Bad };
    story.event(mesh, look, format_args!("{ended} of {} pods ended as they should", outcomes.len()));
    Ok(outcomes)
}

/// Whether a patched pod ended as its unmeshed twin would have.
fn judge(story: &Story, outcome: &Outcome) -> bool {
    let Outcome { mesh, role, job, phase, code, proxy_code, error, .. } = outcome;
    let expected = role.expected_exit();
    let wanted = if expected == 0 { Phase::Succeeded } else { Phase::Failed };
    let ended =
        story.check(phase == &wanted, format_args!("{mesh}: {job} is {wanted:?}, not {phase:?} ({error:?})"));
    let same =
        story.check(*code == Some(expected), format_args!("{mesh}: {job} exits {expected}, not {code:?}"));
    let quit = story.check(
        *proxy_code == Some(0),
        format_args!("{mesh}: the proxy of {job} exits 0, not {proxy_code:?}"),
    );
    ended && same && quit
}

/// Waits until the main has ended for good; its exit code, or `None` when it has not.
fn work_ended(pod: &RunningPod, mesh: Mesh) -> Option<i32> {
    let main = main_of(pod, mesh);
    let again = pod.placed.pod.spec.restart_policy == RestartPolicy::OnFailure;
    pod.wait(PATIENCE, |state| {
        let main = state.container(&main);
        main.is_some_and(|main| !main.running && main.ended.is_some_and(|ended| !again || ended.code == 0))
    });
    code(pod, mesh)
}

fn code(pod: &RunningPod, mesh: Mesh) -> Option<i32> {
    Outcome::of(Role::Runner(0), pod, mesh).code
}
