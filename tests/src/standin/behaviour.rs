//! What a stand-in does before it is ready, and when it is told to quit.

use std::{str::FromStr, time::Duration};

use crate::duration;

/// How the ready path behaves until the proxy is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unready {
    /// Nothing listens yet: a connection is refused.
    #[default]
    Closed,
    /// It listens and answers with this status.
    Answers(u16),
    /// It takes the connection and never answers.
    Stall,
    /// It answers with bytes that are no HTTP.
    Garbage,
    /// It closes the connection without an answer.
    Drop,
}

/// What happens on the right method to the shutdown path. The wrong method gets 405, except from a Vault agent whose
/// endpoint is not enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnShutdown {
    /// 200, and every port is closed before the answer leaves: a connection right after it is refused.
    Ok,
    /// 200, but the ports stay open this long: a proxy that drains.
    OkThenLinger(Duration),
    /// 404, the answer while the endpoint is not enabled.
    NotEnabled,
    /// 403, as to a caller that is not local.
    Forbidden,
    /// 500.
    ServerError,
    /// Bytes that are no HTTP.
    Garbage,
    /// Takes the request and never answers.
    Stall,
    /// 200 with a body that never ends, fast: only a size limit stops its reader in time.
    Endless,
    /// 200 with a body that never ends, one byte each 100 ms: only a deadline stops its reader.
    Drip,
    /// Closes the connection without an answer.
    Drop,
    /// Nothing ever listens on the shutdown port. Where ready shares that port, it is never ready either.
    Never,
}

/// A text that names no behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBehaviour(String);

impl std::fmt::Display for UnknownBehaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = "ok, linger:DURATION, 404, 403, 500, garbage, stall, endless, drip, drop, never";
        write!(f, "{:?} is no way to answer a shutdown; known: {known}", self.0)
    }
}

impl std::error::Error for UnknownBehaviour {}

impl FromStr for OnShutdown {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownBehaviour(text.to_owned());
        if let Some(linger) = text.strip_prefix("linger:") {
            return duration::parse(linger).map(Self::OkThenLinger).map_err(|_| unknown());
        }
        Ok(match text {
            "ok" => Self::Ok,
            "404" => Self::NotEnabled,
            "403" => Self::Forbidden,
            "500" => Self::ServerError,
            "garbage" => Self::Garbage,
            "stall" => Self::Stall,
            "endless" => Self::Endless,
            "drip" => Self::Drip,
            "drop" => Self::Drop,
            "never" => Self::Never,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_a_name_on_the_command_line() {
        assert_eq!("ok".parse(), Ok(OnShutdown::Ok));
        assert_eq!("linger:1.5s".parse(), Ok(OnShutdown::OkThenLinger(Duration::from_millis(1500))));
        assert_eq!("404".parse(), Ok(OnShutdown::NotEnabled));
        assert_eq!("never".parse(), Ok(OnShutdown::Never));
    }

    #[test]
    fn an_unknown_behaviour_is_named_with_what_would_work() {
        let error = "200".parse::<OnShutdown>().expect_err("no such name");
        assert!(error.to_string().contains("\"200\"") && error.to_string().contains("linger:DURATION"));
        assert!("linger:soon".parse::<OnShutdown>().is_err());
    }
}
