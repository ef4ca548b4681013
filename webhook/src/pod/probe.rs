//! Probes, left as text until somebody asks.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, value::RawValue};

use super::Text;

/// A probe as it stands: startup probes are cloned from it, so nothing of it may be lost.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a>(&'a RawValue);

/// The members of a probe.
#[derive(Clone, Debug, Default)]
pub struct ProbeFields(pub Map<String, Value>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http<'a> {
    #[serde(borrow)]
    http_get: Option<HttpGet<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HttpGet<'a> {
    #[serde(borrow)]
    path: Option<Text<'a>>,
    /// A number or a name.
    port: Value,
}

impl<'a> Probe<'a> {
    /// The port of an `httpGet` of this path, where it is a number.
    pub fn http_port(&self, path: &str) -> Option<u64> {
        let http: Http<'_> = serde_json::from_str(self.0.get()).ok()?;
        http.http_get.filter(|get| get.path.as_deref() == Some(path))?.port.as_u64()
    }

    /// Whether it is an `httpGet` of this path.
    pub fn asks(&self, path: &str) -> bool {
        let http: Result<Http<'_>, _> = serde_json::from_str(self.0.get());
        http.is_ok_and(|http| http.http_get.is_some_and(|get| get.path.as_deref() == Some(path)))
    }

    /// Its members; none where it holds what no API server would take (nested a hundred deep, say).
    pub fn fields(&self) -> Option<ProbeFields> {
        serde_json::from_str(self.0.get()).ok().map(ProbeFields)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Probe<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        raw.get()
            .starts_with('{')
            .then_some(Self(raw))
            .ok_or_else(|| D::Error::custom("a probe is no object"))
    }
}

impl ProbeFields {
    /// Seconds after the container's start until the kubelet gives up on it, with the API's defaults
    /// (`initialDelaySeconds` 0, `periodSeconds` 10, `failureThreshold` 3).
    pub fn budget_seconds(&self) -> u64 {
        let tries = self.number("periodSeconds", 10).saturating_mul(self.number("failureThreshold", 3));
        self.number("initialDelaySeconds", 0).saturating_add(tries)
    }

    /// `periodSeconds`, at least 1.
    pub fn period_seconds(&self) -> u64 {
        self.number("periodSeconds", 10).max(1)
    }

    fn number(&self, key: &str, default: u64) -> u64 {
        self.0.get(key).and_then(Value::as_u64).unwrap_or(default)
    }
}
