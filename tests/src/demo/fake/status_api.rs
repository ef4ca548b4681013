//! k6's REST API, as far as k6-operator uses it: `GET` and `PATCH /v1/status`.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use serde_json::{Value, json};

use crate::standin::http;

/// The API, answered by a thread of its own until the process ends.
pub(super) struct StatusApi {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

// === impl StatusApi ===

impl StatusApi {
    pub(super) fn start(address: SocketAddr, paused: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let shared = Arc::new((Mutex::new(paused), Condvar::new()));
        let api = Self { shared: Arc::clone(&shared) };
        thread::Builder::new().spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A client that leaves in the middle has to live with it.
                let _ = answer(&shared, &mut stream);
            }
        })?;
        Ok(api)
    }

    pub(super) fn wait_until_resumed(&self) {
        let (paused, changed) = &*self.shared;
        let paused = paused.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(paused, |paused| *paused));
    }
}

fn answer(shared: &(Mutex<bool>, Condvar), stream: &mut TcpStream) -> io::Result<()> {
    let Some(request) = http::read_request(stream)? else { return Ok(()) };
    let (paused, changed) = shared;
    let now = {
        let mut paused = paused.lock().unwrap_or_else(PoisonError::into_inner);
        if let ("PATCH", Some(wanted)) = (request.method.as_str(), wanted(&request.body)) {
            *paused = wanted;
            changed.notify_all();
        }
        *paused
    };
    let status = match (request.path.as_str(), request.method.as_str()) {
        ("/v1/status", "GET" | "PATCH") => 200,
        ("/v1/status", _) => 405,
        _ => 404,
    };
    let attributes = json!({ "paused": now, "stopped": false, "running": !now, "vus-max": 2 });
    let body = json!({ "data": { "type": "status", "id": "default", "attributes": attributes } });
    http::respond(stream, status, &body.to_string())?;
    http::let_client_close(stream);
    Ok(())
}

/// What a `PATCH` wants `paused` to be.
fn wanted(body: &[u8]) -> Option<bool> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.pointer("/data/attributes/paused")?.as_bool()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_says_what_it_wants_or_nothing() {
        let starter =
            br#"{"data":{"attributes":{"paused":false,"stopped":false},"id":"default","type":"status"}}"#;
        assert_eq!(wanted(starter), Some(false));
        for odd in [&b""[..], b"{}", b"[1]", br#"{"data":{"attributes":{"paused":"no"}}}"#] {
            assert_eq!(wanted(odd), None);
        }
    }
}
