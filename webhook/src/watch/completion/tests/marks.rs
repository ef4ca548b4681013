//! Whom the watch tells that the work is done, and when.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_whose_mains_are_done_is_told_by_its_uid_through_its_status() {
    let mut world = World::new(None);
    world.lists(&[at_work("a"), pod("b", "n")]).await;
    world.marks("b").await.answer(StatusCode::OK, told("b"));
    world.until("watch_synced", "1").await;
    world.until("watched_pods", "2").await;
    world.tells("MODIFIED", &told("b")).await;
    world.tells("MODIFIED", &pod("a", "n")).await;
    world.marks("a").await.answer(StatusCode::OK, told("a"));
    world.until("done_patches_total{outcome=\"patched\"}", "2").await;
    assert_eq!(world.metric("done_delay_seconds_count"), "2");
    world.tells("DELETED", &told("a")).await;
    world.until("watched_pods", "1").await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_while_the_watch_is_away_is_found_by_a_new_list() {
    let mut world = World::new(None);
    world.lists(&[at_work("a"), at_work("gone")]).await;
    world.until("watched_pods", "2").await;
    let expired = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410});
    world.tells("ERROR", &expired).await;
    world.lists(&[pod("a", "n")]).await;
    world.marks("a").await.answer(StatusCode::OK, told("a"));
    world.until("watched_pods", "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_be_resumed_is_not_insisted_on() {
    let mut world = World::new(None);
    for (code, reason) in [(410, "Gone"), (403, "Forbidden"), (500, "InternalError"), (504, "Timeout")] {
        world.lists(&[at_work("a")]).await;
        let watch = world.asked(Method::GET, PODS, "watch=true").await;
        assert_eq!(world.metric("watch_synced"), "1");
        watch.refuse(code, reason, Value::Null);
        world.until("watch_synced", "0").await;
    }
    // And lists that fail are asked for until they come.
    for _ in 0..3 {
        world.asked(Method::GET, PODS, "limit=").await.refuse(403, "Forbidden", Value::Null);
    }
    world.lists(&[pod("a", "n")]).await;
    world.marks("a").await.answer(StatusCode::OK, told("a"));
    assert_eq!(world.metric("watch_errors_total"), "7");
}

#[tokio::test(start_paused = true)]
async fn only_a_refusal_before_the_first_list_says_that_nobody_watches_and_a_whole_list_takes_it_back() {
    let mut world = World::new(None);
    // Before the first answer the configuration holds, and what may pass changes nothing.
    for (code, reason) in [(500, "InternalError"), (410, "Gone"), (401, "Unauthorized")] {
        world.asked(Method::GET, PODS, "limit=").await.refuse(code, reason, Value::Null);
        world.asked(Method::GET, PODS, "limit=").await.refuse(503, "ServiceUnavailable", Value::Null);
        assert!(world.watched.is(), "{reason}");
    }
    world.asked(Method::GET, PODS, "limit=").await.refuse(403, "Forbidden", Value::Null);
    // Asked again, so the answer before was heard.
    let again = world.asked(Method::GET, PODS, "limit=").await;
    assert!(!world.watched.is());
    again.refuse(500, "InternalError", Value::Null);
    let again = world.asked(Method::GET, PODS, "limit=").await;
    assert!(!world.watched.is(), "a refusal holds until a list comes");
    again.answer(StatusCode::OK, list(&[at_work("a")]));
    let watch = world.asked(Method::GET, PODS, "watch=true").await;
    assert!(world.watched.is());
    // What was allowed once is refused by an API server that has just started, too: that passes.
    watch.refuse(403, "Forbidden", Value::Null);
    let _again = world.asked(Method::GET, PODS, "limit=").await;
    assert!(world.watched.is());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_is_resumed_where_it_was() {
    let mut world = World::new(None);
    world.lists(&[at_work("a")]).await;
    let watch = world.asked(Method::GET, PODS, "watch=true").await;
    // Amid an event, as a connection does.
    let half =
        format!("{}\n{{\"type\":\"MODIFIED\",\"obj", json!({"type": "MODIFIED", "object": at_work("a")}));
    watch.send.send_response(Response::new(Body::from(half.into_bytes())));
    let resumed = world.asked(Method::GET, PODS, "watch=true").await;
    assert!(resumed.uri.contains("resourceVersion=8"), "{}", resumed.uri);
    resumed.answer(StatusCode::OK, json!({"type": "MODIFIED", "object": pod("a", "n")}));
    world.marks("a").await.answer(StatusCode::OK, told("a"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_gone_or_another_is_dropped_and_other_refusals_are_tried_again() {
    let mut world = World::new(None);
    let names = ["conflict", "failed", "gone", "replaced"];
    world.lists(&names.map(|name| pod(name, "n"))).await;
    world.marks("gone").await.refuse(404, "NotFound", Value::Null);
    let other =
        json!({"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid", "message": "immutable"}]});
    world.marks("replaced").await.refuse(422, "Invalid", other);
    world.marks("conflict").await.refuse(409, "Conflict", Value::Null);
    world.marks("failed").await.refuse(500, "InternalError", Value::Null);
    world.marks("conflict").await.answer(StatusCode::OK, told("conflict"));
    world.marks("failed").await.answer(StatusCode::OK, told("failed"));
    // Whatever else comes within a minute is about the two that were told: nobody confirms them.
    for _ in 0..6 {
        let again = world.asked(Method::PATCH, "/api/v1/namespaces/n/pods/", "/status").await;
        assert!(again.uri.contains("/conflict/") || again.uri.contains("/failed/"), "{}", again.uri);
        again.answer(StatusCode::OK, told("any"));
    }
    assert_eq!(world.metric("done_patches_total{outcome=\"gone\"}"), "2");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
    let mut world = World::new(None);
    let names: Vec<_> = (10..40).map(|number| format!("p{number}")).collect();
    world.lists(&names.iter().map(|name| pod(name, "n")).collect::<Vec<_>>()).await;
    let mut first = Vec::new();
    for _ in 0..MARKS {
        first.push(world.asked(Method::PATCH, "/api/v1/namespaces/n/pods/", "/status").await);
    }
    let start = Instant::now();
    for asked in first {
        asked.refuse(429, "TooManyRequests", json!({"retryAfterSeconds": 7}));
    }
    for left in (0..names.len()).rev() {
        let asked = world.asked(Method::PATCH, "/api/v1/namespaces/n/pods/", "/status").await;
        assert!(start.elapsed().as_secs() >= 7, "{left} left after {:?}", start.elapsed());
        asked.answer(StatusCode::OK, told("any"));
    }
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_acts_and_the_other_sees_whether_it_did() {
    let own = Own { namespace: "curfew".into(), name: "curfew-a".into() };
    let mut world = World::new(Some(own));
    let replica = |name: &str, ready: &str| {
        json!({"metadata": {"name": name, "namespace": "curfew", "uid": name, "resourceVersion": "1"},
               "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    };
    let replicas = ["curfew-a", "curfew-b"].map(|name| replica(name, "True"));
    let asked = world.asked(Method::GET, OWN, "limit=").await;
    assert!(asked.uri.contains("app.kubernetes.io%2Fname%3Dcurfew"), "{}", asked.uri);
    asked.answer(StatusCode::OK, list(&[&replicas[..], &[replica("curfew-c", "False")]].concat()));
    world.asked(Method::GET, OWN, "watch=true").await;

    let names: Vec<_> = (0..20).map(|number| format!("p{number}")).collect();
    let ready = ["curfew-a".into(), "curfew-b".into()];
    let (own, others): (Vec<_>, Vec<_>) =
        names.iter().partition(|name| share::rank(&format!("uid-of-{name}"), "curfew-a", &ready) == 0);
    assert!(own.len() > 4 && others.len() > 4, "{own:?} {others:?}");
    let start = Instant::now();
    world.lists(&names.iter().map(|name| pod(name, "n")).collect::<Vec<_>>()).await;
    for name in own {
        world.marks(name).await.answer(StatusCode::OK, told(name));
    }
    assert_eq!(start.elapsed().as_millis(), 0);
    // The other one did its part, but for the last, and went away.
    let (forgotten, seen) = others.split_last().expect("some");
    for name in seen {
        world.tells("MODIFIED", &told(name)).await;
    }
    world.marks(forgotten).await.answer(StatusCode::OK, told(forgotten));
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bad_pod_costs_the_others_nothing() {
    let mut world = World::new(None);
    let bad =
        [json!({"metadata": {"name": 7}}), json!("pod"), json!({"metadata": {"uid": "u", "labels": []}})];
    world.lists(&[&bad[..], &[pod("a", "n")]].concat()).await;
    world.marks("a").await.answer(StatusCode::OK, told("a"));
    let mut bad = at_work("b");
    bad["status"]["containerStatuses"] = json!({"main": "done"});
    world.tells("MODIFIED", &bad).await;
    world.tells("MODIFIED", &pod("c", "n")).await;
    world.marks("c").await.answer(StatusCode::OK, told("c"));
}
