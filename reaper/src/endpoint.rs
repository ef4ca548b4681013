//! A proxy's endpoint: a method and a loopback URL.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Where to ask, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    method: Option<String>,
    authority: String,
}

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnEndpoint(&'static str);

// === impl Endpoint ===

impl Endpoint {
    /// The request to send; `method` unless the URL names one itself.
    pub(crate) fn request(&self, method: &str) -> Vec<u8> {
        let method = self.method.as_deref().unwrap_or(method);
        // HTTP/1.1, because Envoy refuses 1.0; a length, because a body is expected of everything but these two.
        let length = if matches!(method, "GET" | "HEAD") { "" } else { "Content-Length: 0\r\n" };
        format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: curfew-reaper\r\n{length}Connection: close\r\n\r\n",
            self.path, self.authority
        )
        .into_bytes()
    }
}

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A URL begins in lower case, so a word of capitals before the first `=` is a method.
        let (method, url) = match text.split_once('=') {
            Some((word, url)) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                (Some(word.to_owned()), url)
            }
            _ => (None, text),
        };
        let rest = url.strip_prefix("http://").ok_or(NotAnEndpoint("only http:// is spoken"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(NotAnEndpoint("its path has a character that no request may carry"));
        }
        Ok(Self {
            address: loopback(authority)?,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            method,
            authority: authority.to_owned(),
        })
    }
}

/// Reads `HOST`, `HOST:PORT`. Names are never looked up: what a name means is not for a pod's DNS to say here.
fn loopback(authority: &str) -> Result<SocketAddr, NotAnEndpoint> {
    const ELSEWHERE: NotAnEndpoint = NotAnEndpoint("only 127.0.0.0/8, [::1] and localhost are allowed");
    let bare = |text: &str| text.bytes().all(|byte| byte != b':');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || bare(host) => (host, Some(port)),
        _ => (authority, None),
    };
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| ELSEWHERE)?,
        None if host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None => host.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| ELSEWHERE)?,
    };
    if !address.is_loopback() {
        return Err(ELSEWHERE);
    }
    let port = match port {
        None => 80,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().unwrap_or(0),
        Some(_) => 0,
    };
    if port == 0 { Err(NotAnEndpoint("its port is none")) } else { Ok(SocketAddr::new(address, port)) }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl fmt::Display for NotAnEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_loopback_urls() {
        for (text, address, path) in [
            ("http://127.0.0.1:4191/ready", "127.0.0.1:4191", "/ready"),
            ("http://127.8.9.1:15020/quitquitquit?x=1", "127.8.9.1:15020", "/quitquitquit?x=1"),
            ("http://localhost:4191", "127.0.0.1:4191", "/"),
            ("http://localhost", "127.0.0.1:80", "/"),
            ("http://[::1]:9901/ready", "[::1]:9901", "/ready"),
            ("http://[::1]?q", "[::1]:80", "/?q"),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!(endpoint.address, address.parse().expect(address), "{text}");
            assert_eq!(endpoint.path, path, "{text}");
        }
    }

    #[test]
    fn takes_whatever_the_webhook_takes() {
        let lines = include_str!("../../tests/endpoints.txt").lines();
        for text in lines.filter_map(|line| line.strip_prefix("+ ")) {
            assert!(text.parse::<Endpoint>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_method_in_front_wins() {
        let url = "http://127.0.0.1:1/a?b=c";
        let plain: Endpoint = url.parse().expect(url);
        assert!(plain.request("POST").starts_with(b"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"));
        let chosen: Endpoint = format!("DELETE={url}").parse().expect(url);
        assert!(chosen.request("POST").starts_with(b"DELETE /a?b=c HTTP/1.1\r\n"));
        assert_eq!(chosen.to_string(), url);
    }

    #[test]
    fn refuses_what_is_not_loopback() {
        for text in [
            "",
            "http://",
            "https://127.0.0.1/",
            "HTTP://127.0.0.1/",
            "http://10.0.0.1:80/",
            "http://0.0.0.0/",
            "http://128.0.0.1/",
            "http://127.1/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://::1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://me@127.0.0.1/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/a\r\nHost: b",
            "http://127.0.0.1/#a",
            "=http://127.0.0.1/",
            "post=http://127.0.0.1/",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
