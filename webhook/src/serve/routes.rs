//! What the webhook's port answers: reviews on `/mutate`, and one clear line to everything else.

use super::{
    Limits,
    admit::{self, Admit},
    body::Room,
    metrics::Metrics,
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing,
};
use http_body_util::BodyExt;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// The path the webhook configuration names.
pub const PATH: &str = "/mutate";

#[derive(Clone)]
struct App {
    admit: Arc<dyn Admit>,
    metrics: Metrics,
    room: Room,
}

/// Why a request never reached the admission logic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    Path(String),
    Method(Method),
    ContentType(String),
    Empty,
    TooLarge(usize),
    Timeout(Duration),
    Busy(Duration),
    Broken(String),
}

/// How much of a body that is not wanted is read away, and for how long. A client that is still sending when the
/// connection closes sees a reset instead of the answer; one that does not stop has had its chance.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(3);

/// Longer values only blow up the answer.
const SHOWN_CHARS: usize = 80;

/// The routes of the webhook's port.
pub(super) fn router(admit: Arc<dyn Admit>, metrics: Metrics, limits: Limits) -> Router {
    Router::new()
        .route(PATH, routing::post(mutate))
        .fallback(|State(app): State<App>, uri: Uri, request: Request| async move {
            reject(&app, Rejection::Path(uri.path().to_owned()), Some(request.into_body())).await
        })
        .method_not_allowed_fallback(|State(app): State<App>, method: Method, request: Request| async move {
            reject(&app, Rejection::Method(method), Some(request.into_body())).await
        })
        .with_state(App { admit, metrics, room: Room::new(limits) })
}

async fn mutate(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Err(rejection) = check_content_type(&head.headers) {
        return reject(&app, rejection, Some(body)).await;
    }
    let body = match app.room.read(body).await {
        Ok(body) => body,
        Err((rejection, rest)) => return reject(&app, rejection, rest).await,
    };
    if body.bytes.is_empty() {
        return reject(&app, Rejection::Empty, None).await;
    }
    let start = Instant::now();
    let answer = admit::review(app.admit.as_ref(), &body.bytes).await;
    match answer.facts {
        Some(facts) => app.metrics.admitted(facts, start.elapsed()),
        None => app.metrics.rejected("not_a_review"),
    }
    let content_type = match answer.status {
        StatusCode::OK => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    (answer.status, [(header::CONTENT_TYPE, content_type)], answer.body).into_response()
}

/// The apiserver sends `application/json`; a parameter beside it does no harm.
fn check_content_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let given = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let given = String::from_utf8_lossy(given);
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Rejection::ContentType(given.into_owned()))
}

/// Answers, counts, and closes the connection wherever some of the body may still be on its way.
async fn reject(app: &App, rejection: Rejection, rest: Option<Body>) -> Response {
    tracing::debug!(%rejection, "Request rejected");
    app.metrics.rejected(rejection.reason());
    let whole = match rest {
        Some(body) => timeout(DISCARD_TIME, discard(body)).await.unwrap_or(false),
        None => rejection == Rejection::Empty,
    };
    let mut response = (rejection.status(), format!("{rejection}\n")).into_response();
    if rejection.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    if rejection.status() == StatusCode::SERVICE_UNAVAILABLE {
        // The apiserver's client tries again only where it is told when, in seconds.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if !whole {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a body away; says whether it was read to its end.
async fn discard(mut body: Body) -> bool {
    let mut left = DISCARD_BYTES;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = left.checked_sub(bytes) else { return false };
        left = less;
    }
    true
}

// === impl Rejection ===

impl Rejection {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Empty | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The metric's label.
    fn reason(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Method(_) => "method",
            Self::ContentType(_) => "content_type",
            Self::Empty => "empty",
            Self::TooLarge(_) => "too_large",
            Self::Timeout(_) => "body_timeout",
            Self::Busy(_) => "busy",
            Self::Broken(_) => "broken_body",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "no such path {:?}: reviews go to {PATH}", shown(path)),
            Self::Method(method) => write!(f, "method {method} is not allowed: use POST"),
            Self::ContentType(given) if given.is_empty() => {
                f.write_str("no content type given: expected application/json")
            }
            Self::ContentType(given) => {
                write!(f, "content type {:?} is not supported: expected application/json", shown(given))
            }
            Self::Empty => f.write_str("empty body: expected an AdmissionReview"),
            Self::TooLarge(limit) => write!(f, "body too large: at most {limit} bytes are read"),
            Self::Timeout(limit) => {
                write!(
                    f,
                    "the body took too long: it must arrive within {}",
                    crate::duration::Duration::from(*limit)
                )
            }
            Self::Busy(limit) => {
                write!(
                    f,
                    "no room for this body within {}: other long ones take it; send it again",
                    crate::duration::Duration::from(*limit)
                )
            }
            Self::Broken(error) => write!(f, "the body broke off: {error}"),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_taken_however_it_is_written() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            check_content_type(&headers)
        };
        for value in
            ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json "]
        {
            assert_eq!(check(value), Ok(()), "{value}");
        }
        for value in ["", "text/plain", "application/jsonp", "application/yaml", "json"] {
            assert_eq!(check(value), Err(Rejection::ContentType(value.to_owned())), "{value}");
        }
        assert_eq!(check_content_type(&HeaderMap::new()), Err(Rejection::ContentType(String::new())));
    }

    #[test]
    fn every_rejection_is_one_line_whatever_came_in() {
        let nasty = "x\ny".repeat(100);
        for rejection in [Rejection::Path(nasty.clone()), Rejection::ContentType(nasty)] {
            let text = rejection.to_string();
            assert!(!text.contains('\n') && text.len() < 300, "{text}");
        }
        let text = Rejection::Timeout(Duration::from_millis(1500)).to_string();
        assert!(text.ends_with("within 1s500ms"), "{text}");
    }

    #[tokio::test]
    async fn what_is_not_wanted_is_read_away_up_to_a_limit() {
        assert!(discard(Body::from("short")).await);
        assert!(discard(Body::empty()).await);
        assert!(!discard(Body::from(vec![0; DISCARD_BYTES + 1])).await);
    }
}
