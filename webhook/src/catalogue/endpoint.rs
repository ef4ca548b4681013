//! Addresses of a sidecar's endpoints, as rows write them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[METHOD=]http://LOOPBACK:PORT/PATH`, where PORT may be `{name}` of one of the row's ports.
///
/// Only literal loopback addresses are taken: a user's row must not make anything call outside the pod.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Endpoint {
    text: String,
}

/// The only one that is spoken.
const SCHEME: &str = "http://";

/// Why an endpoint is refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// Not plain HTTP.
    #[error("endpoint `{0}` is not plain HTTP: write [METHOD=]http://127.0.0.1:PORT/PATH")]
    Scheme(String),
    /// The host is something else than a literal loopback address.
    #[error("endpoint `{0}` is not loopback: only 127.0.0.0/8, [::1] and localhost are called")]
    NotLoopback(String),
    /// The port is neither a number from 1 to 65535 nor a `{name}`.
    #[error("endpoint `{0}` has no port: write http://127.0.0.1:PORT/PATH, PORT a number or {{name}}")]
    Port(String),
    /// Characters that would not survive the way to the wrapper's command line.
    #[error("endpoint `{0}` has a character in it that is not printable ASCII, a `#` or a `$(`")]
    Characters(String),
}

impl Endpoint {
    /// The name in `{name}` where the port is one.
    pub fn port_name(&self) -> Option<&str> {
        let start = self.text.find('{')?;
        let end = self.text[start..].find('}')? + start;
        Some(&self.text[start + 1..end])
    }

    /// The method, where it names one.
    pub fn method(&self) -> Option<&str> {
        split(&self.text).0
    }

    /// Host and port, as a request's `Host` has them.
    pub fn authority(&self) -> &str {
        let rest = self.rest();
        rest.find('/').map_or(rest, |slash| &rest[..slash])
    }

    /// The port's number; none where a name stands for it.
    pub fn port(&self) -> Option<u16> {
        self.authority().rsplit_once(':')?.1.parse().ok()
    }

    /// Its path and query, from the first slash on.
    pub fn path(&self) -> &str {
        let rest = self.rest();
        rest.find('/').map_or("/", |slash| &rest[slash..])
    }

    /// What follows the scheme.
    fn rest(&self) -> &str {
        let url = split(&self.text).1;
        url.strip_prefix(SCHEME).unwrap_or(url)
    }

    /// The endpoint with its port's name replaced by the number in `ports`; unknown names stay.
    pub fn resolve(&self, ports: &BTreeMap<&str, u16>) -> String {
        match self.port_name().and_then(|name| ports.get(name).map(|number| (name, number))) {
            Some((name, number)) => self.text.replacen(&format!("{{{name}}}"), &number.to_string(), 1),
            None => self.text.clone(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let owned = || text.to_owned();
        // Nothing the wrapper would refuse: its own reading is no wider than this.
        if text.contains("$(") || text.chars().any(|c| !c.is_ascii_graphic() || c == '#') {
            return Err(EndpointError::Characters(owned()));
        }
        let rest = split(text).1.strip_prefix(SCHEME).ok_or_else(|| EndpointError::Scheme(owned()))?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| EndpointError::Port(owned()))?;
        if !is_loopback(host) {
            return Err(EndpointError::NotLoopback(owned()));
        }
        let named =
            port.strip_prefix('{').and_then(|port| port.strip_suffix('}')).is_some_and(|n| !n.is_empty());
        let number =
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if named || number { Ok(Self { text: owned() }) } else { Err(EndpointError::Port(owned())) }
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.text
    }
}

/// Method and URL: a URL begins in lower case, so a word of capitals before the first `=` is a method.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((word, url)) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            (Some(word), url)
        }
        _ => (None, text),
    }
}

fn is_loopback(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_endpoints_are_taken_and_resolved() {
        let endpoint: Endpoint = "POST=http://127.0.0.1:{admin}/shutdown".parse().expect("an endpoint");
        assert_eq!(endpoint.port_name(), Some("admin"));
        let ports = BTreeMap::from([("admin", 4200)]);
        assert_eq!(endpoint.resolve(&ports), "POST=http://127.0.0.1:4200/shutdown");
        for text in ["http://localhost:9091/quitquitquit?x=y", "http://[::1]:80/", "http://127.3.2.1:65535"] {
            assert!(text.parse::<Endpoint>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_asked_and_where_is_told_apart() {
        for (text, method, port, path) in [
            ("http://127.0.0.1:4191/shutdown", None, Some(4191), "/shutdown"),
            ("GET=http://[::1]:9/quit", Some("GET"), Some(9), "/quit"),
            (
                "http://127.0.0.1:80/q?next=http://127.0.0.1:81/",
                None,
                Some(80),
                "/q?next=http://127.0.0.1:81/",
            ),
            ("PUT=http://localhost:00080", Some("PUT"), Some(80), "/"),
            ("http://127.0.0.1:{admin}/shutdown", None, None, "/shutdown"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!((endpoint.method(), endpoint.port(), endpoint.path()), (method, port, path), "{text}");
        }
        let endpoint: Endpoint = "GET=http://[::1]:9/quit".parse().expect("an endpoint");
        assert_eq!(endpoint.authority(), "[::1]:9");
    }

    #[test]
    fn what_is_taken_is_what_the_wrapper_takes_too() {
        for line in include_str!("../../../tests/endpoints.txt").lines().filter(|line| !line.starts_with('#'))
        {
            let (sign, text) = line.split_once(' ').expect(line);
            assert_eq!(text.parse::<Endpoint>().is_ok(), sign == "+", "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<Endpoint>().expect_err(text);
        for text in [
            "http://10.0.0.1:80/",
            "http://example.com:80/",
            "http://127.0.0.1.example.com:80/",
            "http://127.0.0.1@example.com:80/",
            "http://0.0.0.0:80/",
            "http://2130706433:80/",
            "http://::1:80/",
            "http://[127.0.0.1]:80/",
        ] {
            assert_eq!(refused(text), EndpointError::NotLoopback(text.into()), "{text}");
        }
        for text in ["https://127.0.0.1:80/", "127.0.0.1:80", "unix:///socket", "post=http://127.0.0.1:80/"] {
            assert_eq!(refused(text), EndpointError::Scheme(text.into()), "{text}");
        }
        for text in
            ["http://127.0.0.1/", "http://127.0.0.1:0/", "http://127.0.0.1:+80/", "http://127.0.0.1:{}/"]
        {
            assert_eq!(refused(text), EndpointError::Port(text.into()), "{text}");
        }
        for text in [
            "http://127.0.0.1:80/a b",
            "http://127.0.0.1:80/$(HOST)",
            "http://127.0.0.1:80/\n",
            "http://127.0.0.1:80/#x",
            "http://127.0.0.1:80/é",
        ] {
            assert_eq!(refused(text), EndpointError::Characters(text.into()), "{text}");
        }
    }
}
