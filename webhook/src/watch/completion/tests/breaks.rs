//! Requests that get no answer, and tasks that break down.

use tokio::time::timeout;

use super::*;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn requests_without_an_answer_are_given_up_and_made_again() {
    for (method, path, counted) in [
        (Method::PATCH, "/api/v1/namespaces/n/pods/a/status?", "done_patches_total{outcome=\"failed\"}"),
        (Method::POST, EVENTS, "events_total{reason=\"SidecarStuck\",outcome=\"failed\"}"),
    ] {
        let mut world = World::new(None);
        let listed = if method == Method::POST { told("a") } else { pod("a", "n") };
        world.lists(&[listed]).await;
        let _never = world.asked(method.clone(), path, "").await;
        let start = Instant::now();
        let again = timeout(PATIENCE, world.asked(method, path, "")).await;
        assert!(again.is_ok(), "{path} is not asked again");
        assert_eq!(start.elapsed().as_secs(), 10, "{path}");
        assert_eq!(world.metric(counted), "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_breaks_down_ends_the_watch_with_its_reason() {
    for path in [OWN, "/api/v1/namespaces/n/pods/a/status?", EVENTS] {
        let server = tower::service_fn(move |request: Request<Body>| async move {
            let uri = request.uri().to_string();
            assert!(!uri.starts_with(path), "out of requests");
            if !uri.starts_with(PODS) || uri.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            Ok::<_, kube::Error>(Response::new(Body::from(list(&[pod("a", "n")]).to_string().into_bytes())))
        });
        let own = Own { namespace: "curfew".into(), name: "curfew-a".into() };
        let client = Client::new(server, "default");
        let watch = Completion::new(client, Some(own), [], Watched::new(true), &mut Registry::default());
        let ended = timeout(PATIENCE, tokio::spawn(watch.run(None))).await.expect(path);
        let error = ended.expect_err(path).to_string();
        assert!(error.contains("out of requests"), "{error}");
    }
}
