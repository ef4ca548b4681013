//! Ports of a sidecar, and where a pod says their numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, flag};
use crate::pod::{Container, Pod};

/// A port of a sidecar.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Its number where none of `from` gives one; 0 where it is then off.
    pub default: u16,
    /// Where the pod says its number; the first that does wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<PortSource>,
    /// It listens only where any one of these holds; everywhere where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_if: Vec<Evidence>,
    /// It does not listen where any one of these holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<Evidence>,
    /// Another port without which this one does not answer: off (0) where that one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

/// Where a pod says the number of a port.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PortSource {
    /// An environment variable of the sidecar: a number, or an address that ends with one.
    Env(String),
    /// A flag in the sidecar's command or arguments, as in `--port=1` or `--port 1`.
    Flag(String),
    /// A declared port of this name.
    ContainerPort(String),
    /// An annotation of the pod.
    Annotation(String),
    /// A field of a JSON object in an environment variable of the sidecar.
    #[serde(rename_all = "camelCase")]
    EnvJson {
        /// The variable.
        env: String,
        /// The field.
        field: String,
    },
    /// The `httpGet` probe of the sidecar with this path.
    Probe(String),
}

// === impl Port ===

impl Port {
    /// Its number in this pod; 0 where it is off.
    pub(super) fn number(&self, container: &Container<'_>, pod: &Pod<'_>) -> u16 {
        let any = |list: &[Evidence]| list.iter().any(|evidence| evidence.holds(container, pod));
        if any(&self.unless) || !self.only_if.is_empty() && !any(&self.only_if) {
            return 0;
        }
        self.from.iter().find_map(|source| source.number(container, pod)).unwrap_or(self.default)
    }
}

// === impl PortSource ===

impl PortSource {
    fn number(&self, container: &Container<'_>, pod: &Pod<'_>) -> Option<u16> {
        // An address ends with its port, whatever comes before: `0.0.0.0:4191`, `[::]:4191`, `4191`.
        let last_number = |text: &str| text.rsplit(':').next().and_then(|number| number.trim().parse().ok());
        match self {
            Self::Env(name) => container.env_value(name).and_then(last_number),
            Self::Flag(name) => match flag(container, name)? {
                Some(value) => value.parse().ok(),
                None => {
                    let words: Vec<_> = container.command.iter().chain(&container.args).collect();
                    let place = words.iter().rposition(|word| **word == *name)?;
                    words.get(place + 1)?.parse().ok()
                }
            },
            Self::ContainerPort(name) => container
                .ports
                .iter()
                .find(|port| port.name.as_deref() == Some(name))
                .map(|port| port.container_port),
            Self::Annotation(key) => pod.metadata.annotation(key).and_then(last_number),
            Self::EnvJson { env, field } => {
                let object: serde_json::Value = serde_json::from_str(container.env_value(env)?).ok()?;
                object.get(field)?.as_u64()?.try_into().ok()
            }
            Self::Probe(path) => container
                .probes()
                .find_map(|probe| probe.http_port(path))
                .and_then(|port| port.try_into().ok()),
        }
    }
}
