//! What the watch says of pods.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_that_stays_gets_one_event_that_replicas_agree_on() {
    let mut world = World::new(None);
    let start = Instant::now();
    world.lists(&[told("a"), told("b")]).await;
    let asked = world.asked(Method::POST, EVENTS, "").await;
    // It ended long ago, and was seen only now.
    assert_eq!(start.elapsed().as_secs(), 30);
    let body = asked.body.clone();
    let uid = body["involvedObject"]["uid"].as_str().expect("a uid");
    let name = uid.strip_prefix("uid-of-").expect("a name");
    assert_eq!(body["metadata"]["name"], format!("{name}.{:016x}", share::hash(&[uid, "SidecarStuck"])));
    assert_eq!(body["involvedObject"]["kind"], "Pod");
    assert_eq!((&body["type"], &body["reason"]), (&json!("Warning"), &json!("SidecarStuck")));
    let message = body["message"].as_str().expect("a message");
    assert!(
        message.starts_with("every main has ended, and sidecar linkerd-proxy (linkerd) still holds the pod"),
        "{message}"
    );
    asked.refuse(409, "AlreadyExists", Value::Null);
    world.asked(Method::POST, EVENTS, "").await.answer(StatusCode::CREATED, body);
    let stuck = "stuck_pods{strategy=\"reaper\",reason=\"unknown\"}";
    world.until(stuck, "2").await;
    // Seen again and again, each is said once.
    for _ in 0..20 {
        world.tells("MODIFIED", &told("a")).await;
    }
    assert!(world.early.iter().all(|asked| asked.method != Method::POST));
    world.tells("DELETED", &told("a")).await;
    world.until(stuck, "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_in_time_is_not_spoken_of() {
    let mut world = World::new(None);
    let start = Instant::now();
    world.lists(&[told("a")]).await;
    world.tells("DELETED", &told("a")).await;
    world.until("watched_pods", "0").await;
    assert_eq!(world.ledger_words(start).await, 0);
}

impl World {
    /// How many events are left within two minutes, the watch being renewed all the while.
    async fn ledger_words(&mut self, start: Instant) -> usize {
        let mut words = 0;
        while start.elapsed().as_secs() < 120 {
            let until = sleep_until(start + Duration::from_secs(121));
            tokio::select! {
                asked = self.next() => words += usize::from(asked.method == Method::POST),
                () = until => {}
            }
        }
        words
    }
}

/// A pod at work that was left for this reason.
fn left_for(name: &str, reason: &str) -> Value {
    let mut left = at_work(name);
    left["metadata"]["annotations"]["curfew.dev/status"] = json!({"strategy": "leave", "reason": reason,
        "containers": {"main": "main", "linkerd-proxy": "classic sidecar linkerd"}})
    .to_string()
    .into();
    left
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_left_or_lies_is_said_so_once() {
    let mut world = World::new(None);
    let left = left_for("left", "its image");
    let mut copied = pod("copied", "n");
    copied["spec"]["containers"][0]["name"] = "another".into();
    let mut old = left.clone();
    (old["metadata"]["uid"], old["status"]["startTime"]) = ("old".into(), "2026-01-01T00:00:00Z".into());
    world.lists(&[left, copied, old]).await;
    let mut said = Vec::new();
    for _ in 0..2 {
        let asked = world.asked(Method::POST, EVENTS, "").await;
        said.push((asked.body["reason"].clone(), asked.body["message"].clone()));
        let body = asked.body.clone();
        asked.answer(StatusCode::CREATED, body);
    }
    said.sort_by_key(|(reason, _)| reason.to_string());
    let passed_over = "curfew.dev/status: it names the container \"main\", which is not in the pod";
    assert_eq!(said, [(json!("LeftAlone"), json!("its image")), (json!("PassedOver"), json!(passed_over))]);
    assert!(
        world.early.iter().all(|asked| asked.method == Method::GET),
        "the copied pod is not told anything"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_left_to_its_owner_is_nothing_to_warn_of() {
    let mut world = World::new(None);
    world.lists(&[left_for("argo", ARGO), left_for("other", "its image")]).await;
    for _ in 0..2 {
        let asked = world.asked(Method::POST, EVENTS, "").await;
        let kind = if asked.body["message"] == ARGO { "Normal" } else { "Warning" };
        assert_eq!((&asked.body["reason"], &asked.body["type"]), (&json!("LeftAlone"), &json!(kind)));
        let body = asked.body.clone();
        asked.answer(StatusCode::CREATED, body);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_is_given_up_and_one_that_fails_is_not() {
    let mut world = World::new(None);
    world.lists(&[left_for("refused", "its image"), left_for("failed", "its image")]).await;
    let mut refusals = 0;
    let mut failures = 0;
    let given_up = "events_total{reason=\"LeftAlone\",outcome=\"given_up\"}";
    while refusals < 5 || failures < 7 {
        let asked = world.asked(Method::POST, EVENTS, "").await;
        if asked.body["involvedObject"]["name"] == "refused" {
            refusals += 1;
            asked.refuse(403, "Forbidden", Value::Null);
        } else {
            failures += 1;
            asked.refuse(500, "InternalError", Value::Null);
        }
    }
    world.until(given_up, "1").await;
    // Seen anew it is not said after all.
    world.tells("MODIFIED", &left_for("refused", "its image")).await;
    let asked = world.asked(Method::POST, EVENTS, "").await;
    assert_eq!((refusals, &asked.body["involvedObject"]["name"]), (5, &json!("failed")));
    let body = asked.body.clone();
    asked.answer(StatusCode::CREATED, body);
    world.until("events_total{reason=\"LeftAlone\",outcome=\"created\"}", "1").await;
    let start = Instant::now();
    assert_eq!(world.ledger_words(start).await, 0);
    assert_eq!(world.metric("events_total{reason=\"LeftAlone\",outcome=\"refused\"}"), "5");
}
