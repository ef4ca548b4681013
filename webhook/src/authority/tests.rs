//! Replicas against an API server that keeps the two objects, refuses stale writes, and may be told to refuse all.

use super::*;
use curfew_certs::{CaCertificate, rotation::Times};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use json_patch::Patch;
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};
use tower::service_fn;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone)]
struct Cluster(Arc<Mutex<State>>);

struct State {
    secret: Value,
    configuration: Value,
    /// Both as they were when the round began: all of it happens at the same moment.
    seen: [Value; 2],
    version: u64,
    refuses: bool,
}

// === impl Cluster ===

impl Cluster {
    fn new() -> Self {
        let webhook = |name| json!({"name": name, "clientConfig": {}, "admissionReviewVersions": ["v1"], "sideEffects": "None"});
        let configuration = json!({
            "metadata": {"name": "00-curfew", "resourceVersion": "1"},
            "webhooks": [webhook("namespaces.curfew.dev"), webhook("pods.curfew.dev")],
        });
        let seen = [Value::Null, configuration.clone()];
        Self(Arc::new(Mutex::new(State {
            secret: Value::Null,
            configuration,
            seen,
            version: 1,
            refuses: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn replica(&self) -> Keeper {
        let cluster = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (status, answer) = cluster.state().answer(&head.method, head.uri.path(), &body);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        let name = str::to_owned;
        let place = Place {
            namespace: name("curfew"),
            secret: name("curfew-ca"),
            service: name("curfew"),
            configuration: name("00-curfew"),
        };
        let client = Client::new(service, "curfew");
        let (resolver, readiness) = (Resolver::default(), Readiness::default());
        Keeper::new(client, place, Times::default(), resolver, readiness, &mut Registry::default()).unwrap()
    }

    /// Lets `keeper` see the objects as they are.
    fn show(&self, keeper: &mut Keeper) {
        let [secret, configuration] = self.state().seen.clone();
        keeper.secret = Some(Content::of(serde_json::from_value(secret).unwrap()));
        keeper.configuration = Some(Configuration::of(serde_json::from_value(configuration).unwrap()));
    }

    /// Both look and act, one after the other, at `now`.
    async fn round(&self, keepers: &mut [Keeper], now: SystemTime) {
        self.state().is_seen();
        for keeper in keepers.iter_mut() {
            self.show(keeper);
        }
        for keeper in keepers {
            keeper.keep(moment(now)).await;
        }
    }

    async fn rounds(&self, keepers: &mut [Keeper], from: SystemTime, count: u32) -> SystemTime {
        for second in 0..count {
            self.round(keepers, from + SECOND * second).await;
        }
        from + SECOND * count
    }

    fn authority(&self) -> Authority {
        match Content::of(serde_json::from_value(self.state().secret.clone()).unwrap()) {
            Content::Held { authority, .. } => *authority,
            other => panic!("{other:?}"),
        }
    }
}

impl State {
    /// Another round begins.
    fn is_seen(&mut self) {
        self.seen = [self.secret.clone(), self.configuration.clone()];
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let failure = |code: StatusCode, reason: &str| {
            let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason,
                "message": reason});
            (code, status)
        };
        if self.refuses {
            return failure(StatusCode::FORBIDDEN, "Forbidden");
        }
        if method == Method::GET {
            let [secret, configuration] = &self.seen;
            let found = if path.ends_with("/00-curfew") { configuration } else { secret };
            return match found.is_null() {
                true => failure(StatusCode::NOT_FOUND, "NotFound"),
                false => (StatusCode::OK, found.clone()),
            };
        }
        let sent: Value = serde_json::from_slice(body).unwrap();
        self.version += 1;
        let secret = "/api/v1/namespaces/curfew/secrets";
        let object = match (method, path) {
            (&Method::POST, _) if path == secret && self.secret.is_null() => &mut self.secret,
            (&Method::POST, _) if path == secret => return failure(StatusCode::CONFLICT, "AlreadyExists"),
            (&Method::PUT, _) if path == format!("{secret}/curfew-ca") => {
                let version = |secret: &Value| secret["metadata"]["resourceVersion"].clone();
                if self.secret.is_null() {
                    return failure(StatusCode::NOT_FOUND, "NotFound");
                }
                if version(&sent) != version(&self.secret) {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                &mut self.secret
            }
            (&Method::PATCH, _) => {
                let patch: Patch = serde_json::from_value(sent).unwrap();
                let mut patched = self.configuration.clone();
                json_patch::patch(&mut patched, &patch).unwrap();
                let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
                if version(&patched) != version(&self.configuration) {
                    return failure(StatusCode::CONFLICT, "Conflict");
                }
                self.configuration = patched;
                self.configuration["metadata"]["resourceVersion"] = json!(self.version.to_string());
                return (StatusCode::OK, json!({"metadata": self.configuration["metadata"]}));
            }
            _ => panic!("{method} {path}"),
        };
        *object = sent;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        (StatusCode::OK, object.clone())
    }
}

fn moment(wall: SystemTime) -> Moment {
    Moment { wall, running: wall.duration_since(SystemTime::UNIX_EPOCH).unwrap() }
}

fn issuer(keeper: &Keeper) -> &CaCertificate {
    &keeper.leaf.as_ref().expect("a leaf").issuer
}

#[tokio::test]
async fn two_replicas_agree_on_one_ca_and_each_signs_its_own_leaf() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica(), cluster.replica()];
    cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    let authority = cluster.authority();
    for keeper in &keepers {
        assert_eq!(issuer(keeper), authority.active.certificate());
        assert!(keeper.resolver.current().is_some());
    }
    let [one, two] = &keepers;
    assert_ne!(one.leaf.as_ref().unwrap().key_pem, two.leaf.as_ref().unwrap().key_pem);
    let state = cluster.state();
    let bundles = state.configuration["webhooks"].as_array().unwrap().iter();
    assert!(bundles.into_iter().all(|webhook| webhook["clientConfig"]["caBundle"].is_string()));
}

#[tokio::test]
async fn another_ca_comes_when_it_is_time_and_when_asked() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica(), cluster.replica()];
    let start = SystemTime::now();
    let now = cluster.rounds(&mut keepers, start, 4).await;
    let first = cluster.authority();
    cluster.rounds(&mut keepers, now + DAY * 250, 40).await;
    let second = cluster.authority();
    assert_ne!(first.active, second.active);
    cluster.state().secret["metadata"]["annotations"] = json!({"curfew.dev/rotate": "", "team": "load"});
    cluster.rounds(&mut keepers, now + DAY * 251, 40).await;
    let third = cluster.authority();
    assert_ne!(second.active, third.active);
    assert!(keepers.iter().all(|keeper| issuer(keeper) == third.active.certificate()));
    // Asked once, done once.
    cluster.rounds(&mut keepers, now + DAY * 252, 40).await;
    assert_eq!(cluster.authority().active, third.active);
    // What others have put on the Secret is theirs.
    assert_eq!(cluster.state().secret["metadata"]["annotations"], json!({"team": "load"}));
}

#[tokio::test]
async fn a_deleted_or_broken_secret_is_written_back_from_memory() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica(), cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    let before = cluster.authority();
    cluster.state().secret = Value::Null;
    cluster.rounds(&mut keepers, now, 2).await;
    assert_eq!(cluster.authority(), before);
    cluster.state().secret["data"]["ca.key"] = json!("Z2FyYmFnZQ==");
    cluster.rounds(&mut keepers, now + SECOND * 5, 2).await;
    assert_eq!(cluster.authority(), before);
}

#[tokio::test]
async fn a_foreign_secret_is_never_written_to() {
    let cluster = Cluster::new();
    let foreign =
        json!({"metadata": {"name": "curfew-ca", "resourceVersion": "1"}, "data": {"password": "MTIz"}});
    cluster.state().secret = foreign.clone();
    let mut keepers = [cluster.replica()];
    cluster.rounds(&mut keepers, SystemTime::now(), 60).await;
    assert_eq!(cluster.state().secret, foreign);
    assert!(keepers[0].leaf.is_none());
}

#[tokio::test]
async fn without_rights_what_is_served_goes_on_and_is_renewed() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    cluster.state().refuses = true;
    let first = keepers[0].leaf.clone().unwrap();
    for day in 1..300 {
        cluster.round(&mut keepers, now + DAY * day).await;
        assert!(keepers[0].leaf.as_ref().unwrap().life.contains(now + DAY * day));
    }
    assert_ne!(keepers[0].leaf.as_ref().unwrap().key_pem, first.key_pem);
    // And catches up once it may.
    cluster.state().refuses = false;
    cluster.rounds(&mut keepers, now + DAY * 300, 40).await;
    assert_ne!(issuer(&keepers[0]), &first.issuer);
}

#[tokio::test]
async fn a_bundle_somebody_blanked_is_put_back() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica(), cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    for place in 0..2 {
        let before = cluster.state().configuration["webhooks"].clone();
        cluster.state().configuration["webhooks"][place]["clientConfig"] = json!({});
        cluster.state().configuration["metadata"]["resourceVersion"] = json!(format!("blanked-{place}"));
        cluster.rounds(&mut keepers, now + SECOND * 10 * place as u32, 2).await;
        assert_eq!(cluster.state().configuration["webhooks"], before);
    }
}

#[tokio::test]
async fn bundles_that_somebody_else_keeps_stay_as_they_are_and_what_is_served_goes_on() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    for (mode, stays) in [("files", true), ("self-managed", false)] {
        let theirs = json!({"caBundle": "dGhlaXJz"});
        cluster.state().configuration["webhooks"][0]["clientConfig"] = theirs.clone();
        cluster.state().configuration["metadata"]["resourceVersion"] = json!(mode);
        cluster.state().configuration["metadata"]["annotations"] = json!({"curfew.dev/certificates": mode});
        cluster.rounds(&mut keepers, now + SECOND * 10, 4).await;
        assert_eq!(cluster.state().configuration["webhooks"][0]["clientConfig"] == theirs, stays, "{mode}");
        assert!(keepers[0].leaf.is_some());
    }
}

#[tokio::test]
async fn what_a_watch_that_stands_still_has_shown_is_not_acted_upon() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica(), cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    let first = cluster.authority();
    // One no longer sees the configuration, in which the successor is published, and blanked before the hold is over.
    cluster.state().secret["metadata"]["annotations"] = json!({"curfew.dev/rotate": ""});
    let now = cluster.rounds(&mut keepers, now, 4).await;
    let [blind, _] = keepers;
    let mut keepers = [blind];
    assert!(cluster.authority().next.is_some());
    for place in 0..2 {
        cluster.state().configuration["webhooks"][place]["clientConfig"] = json!({});
    }
    cluster.state().configuration["metadata"]["resourceVersion"] = json!("blanked");
    cluster.state().is_seen();
    keepers[0].keep(moment(now + SECOND * 40)).await;
    assert_eq!(cluster.authority().active, first.active);
    // It is put back, and held for as long as the first time.
    let now = cluster.rounds(&mut keepers, now + SECOND * 41, 20).await;
    assert_eq!(cluster.authority().active, first.active);
    cluster.rounds(&mut keepers, now, 20).await;
    assert_ne!(cluster.authority().active, first.active);
}

#[tokio::test]
async fn who_drains_begins_nothing_and_goes_on_serving() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica()];
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    let leaf = keepers[0].leaf.clone().unwrap();
    keepers[0].readiness.drain();
    cluster.state().secret["metadata"]["annotations"] = json!({"curfew.dev/rotate": ""});
    cluster.rounds(&mut keepers, now + DAY * 6, 40).await;
    assert!(cluster.authority().next.is_none());
    assert_ne!(keepers[0].leaf.as_ref().unwrap().key_pem, leaf.key_pem);
}

#[tokio::test]
async fn is_ready_while_what_is_served_is_valid() {
    let cluster = Cluster::new();
    let mut keepers = [cluster.replica()];
    let readiness = keepers[0].readiness.clone();
    assert_eq!(readiness.state(), Ready::Waiting(vec![GATE]));
    let now = cluster.rounds(&mut keepers, SystemTime::now(), 4).await;
    assert_eq!(readiness.state(), Ready::Yes);
    // Its CA has ended, and nothing can be done about it.
    cluster.state().refuses = true;
    cluster.round(&mut keepers, now + DAY * 366).await;
    assert_eq!(readiness.state(), Ready::Waiting(vec![GATE]));
    cluster.state().refuses = false;
    cluster.rounds(&mut keepers, now + DAY * 366, 4).await;
    assert_eq!(readiness.state(), Ready::Yes);
}
