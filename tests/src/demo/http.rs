//! A plain HTTP client for the pods' own ports.

use std::time::Duration;

use ureq::Agent;

/// Everything here is on this machine.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The status of a `GET`; `None` when there is no answer.
pub(super) fn status(url: &str) -> Option<u16> {
    agent().get(url).call().ok().map(|answer| answer.status().as_u16())
}

/// The status of an empty `POST`; `None` when there is no answer.
pub(super) fn post_status(url: &str) -> Option<u16> {
    agent().post(url).send_empty().ok().map(|answer| answer.status().as_u16())
}

fn agent() -> Agent {
    // Whatever proxy this shell has is not for a call to this machine.
    Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}
