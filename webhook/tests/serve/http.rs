//! What is answered to which request.

use crate::client::{head, read_to_end, request, start, trivial, write};
use axum::http::StatusCode;
use curfew::serve::{Answer, Limits};
use std::time::Duration;

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn every_wrong_request_gets_one_clear_line() {
    let server = start(trivial, |config| config.limits.body_bytes = 1000).await;
    for (request, status, text, reason) in [
        (
            request("POST", "/mutate", None, "{}"),
            415,
            "no content type given: expected application/json",
            "content_type",
        ),
        (
            request("POST", "/mutate", Some("text/plain"), "{}"),
            415,
            "content type \"text/plain\" is not supported: expected application/json",
            "content_type",
        ),
        (request("POST", "/mutate", JSON, ""), 400, "empty body: expected an AdmissionReview", "empty"),
        (
            request("POST", "/mutate", JSON, "x".repeat(1001)),
            413,
            "body too large: at most 1000 bytes are read",
            "too_large",
        ),
        (request("GET", "/mutate", None, ""), 405, "method GET is not allowed: use POST", "method"),
        (request("DELETE", "/mutate", JSON, "{}"), 405, "method DELETE is not allowed: use POST", "method"),
        (request("POST", "/", JSON, "{}"), 404, "no such path \"/\": reviews go to /mutate", "path"),
        (
            request("GET", "/metrics", None, ""),
            404,
            "no such path \"/metrics\": reviews go to /mutate",
            "path",
        ),
    ] {
        let series = format!("curfew_requests_rejected_total{{reason=\"{reason}\"}}");
        let count = async || server.metric(&series).await.map_or(0, |value| value.parse::<u64>().unwrap());
        let before = count().await;
        let shown = format!("{} {}", request.method(), request.uri());

        let reply = server.connect().await.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.text), (status, format!("{text}\n")), "{shown}");
        let content_type = reply.headers.get("content-type").unwrap();
        assert_eq!(content_type, "text/plain; charset=utf-8", "{shown}");
        if status == 405 {
            assert_eq!(reply.headers.get("allow").unwrap(), "POST", "{shown}");
        }
        assert_eq!(count().await, before + 1, "{shown}");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_at_the_limit() {
    let server = start(trivial, |config| config.limits.body_bytes = 1000).await;
    for (length, status) in [(1000, "HTTP/1.1 200"), (1001, "HTTP/1.1 413")] {
        let mut stream = server.raw().await;
        let head = head(0).replace("content-length: 0", "transfer-encoding: chunked\r\nconnection: close");
        write(&mut stream, &format!("{head}{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length))).await;
        let reply = read_to_end(&mut stream).await;
        assert!(reply.starts_with(status), "{length}: {reply}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so_and_closed() {
    let server = start(trivial, |config| config.limits.body = Duration::from_millis(100)).await;
    let mut stream = server.raw().await;
    write(&mut stream, &format!("{}half", head(100))).await;
    let reply = read_to_end(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 408") && reply.contains("connection: close"), "{reply}");
    assert!(reply.ends_with("the body took too long: it must arrive within 100ms\n"), "{reply}");
}

#[tokio::test]
async fn what_is_no_http_is_closed() {
    let server = start(trivial, |_| {}).await;
    for garbage in ["\x16\x03\x01\x02\x00nonsense\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = server.raw().await;
        write(&mut stream, garbage).await;
        let reply = read_to_end(&mut stream).await;
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 400"), "{garbage:?}: {reply}");
    }
    let mut stream = server.raw().await;
    write(&mut stream, &head(0).replace("host:", &format!("x-long: {}\r\nhost:", "x".repeat(20_000)))).await;
    let reply = read_to_end(&mut stream).await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
}

#[tokio::test]
async fn a_review_is_answered_and_counted() {
    let server = start(trivial, |_| {}).await;
    let reply = server.connect().await.review("{\"a\":1}").await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, "{\"got\":7}"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("connection"), None);
    for (series, value) in [
        ("curfew_admissions_total{workload=\"job\",strategy=\"none\",outcome=\"unchanged\"}", "1"),
        ("curfew_admission_duration_seconds_count", "1"),
    ] {
        assert_eq!(server.metric(series).await.as_deref(), Some(value), "{series}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_review_is_refused_in_the_words_of_the_admission_logic() {
    let admit =
        |_: &[u8]| Answer { status: StatusCode::BAD_REQUEST, body: b"not JSON\n".to_vec(), facts: None };
    let server = start(admit, |_| {}).await;
    let reply = server.connect().await.review("x").await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::BAD_REQUEST, "not JSON\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    server.metric_becomes("curfew_requests_rejected_total{reason=\"not_a_review\"}", "1").await;
}

#[tokio::test]
async fn a_panic_admits_the_pod_and_the_server_goes_on() {
    let admit = |body: &[u8]| if body.len() > 10 { panic!("on purpose") } else { trivial(body) };
    let server = start(admit, |_| {}).await;
    let mut connection = server.connect().await;
    let reply = connection.review("{\"request\":{\"uid\":\"u-1\",\"object\":{}}}").await;
    assert_eq!(reply.status, StatusCode::OK);
    let review: serde_json::Value = serde_json::from_str(&reply.text).unwrap();
    assert_eq!((&review["response"]["uid"], &review["response"]["allowed"]), (&"u-1".into(), &true.into()));

    assert_eq!(connection.review("{}").await.text, "{\"got\":2}");
    let series = "curfew_admissions_total{workload=\"unknown\",strategy=\"unknown\",outcome=\"failed\"}";
    assert_eq!(server.metric(series).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_connection_serves_many_reviews_and_rests_longer_than_a_head_may_take() {
    let header = Duration::from_millis(500);
    let server = start(trivial, |config| config.limits = Limits { header, ..config.limits }).await;
    let mut connection = server.connect().await;
    for _ in 0..3 {
        assert_eq!(connection.review("{}").await.status, StatusCode::OK);
    }
    tokio::time::sleep(header * 2).await;
    assert_eq!(connection.review("{}").await.status, StatusCode::OK);
    assert_eq!(server.metric("curfew_connections").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_rejection_keeps_the_connection_where_the_body_was_read() {
    let server = start(trivial, |_| {}).await;
    let mut connection = server.connect().await;
    for content_type in [Some("text/plain"), JSON, None, JSON] {
        let reply = connection.send(request("POST", "/mutate", content_type, "{}")).await;
        let expected = if content_type == JSON { StatusCode::OK } else { StatusCode::UNSUPPORTED_MEDIA_TYPE };
        assert_eq!(reply.status, expected);
        assert_eq!(reply.header("connection"), None);
    }
}

#[tokio::test]
async fn the_admin_port_tells_how_things_stand() {
    let server = start(trivial, |_| {}).await;
    for (path, status, text) in [
        ("/healthz", 200, "ok\n"),
        ("/readyz", 200, "ready\n"),
        ("/", 404, "no such path: try /healthz, /readyz or /metrics\n"),
        ("/mutate", 404, "no such path: try /healthz, /readyz or /metrics\n"),
    ] {
        let reply = server.admin(path).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (status, text), "{path}");
    }
    let gate = server.readiness.gate("the catalogue");
    let reply = server.admin("/readyz").await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (503, "not ready: waiting for the catalogue\n"));
    gate.open();
    assert_eq!(server.admin("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_named_by_the_conventions() {
    let server = start(trivial, |_| {}).await;
    server.connect().await.review("{}").await;
    let reply = server.admin("/metrics").await;
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for (name, kind) in [
        ("curfew_admissions", "counter"),
        ("curfew_admission_duration_seconds", "histogram"),
        ("curfew_patch_bytes", "histogram"),
        ("curfew_connections", "gauge"),
        ("curfew_tls_handshake_failures", "counter"),
        ("curfew_requests_rejected", "counter"),
        ("curfew_build", "info"),
    ] {
        assert!(reply.text.contains(&format!("# TYPE {name} {kind}\n")), "{name} in\n{}", reply.text);
    }
    assert!(reply.text.ends_with("# EOF\n"));
}
