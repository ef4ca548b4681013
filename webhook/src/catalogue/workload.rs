//! Rows about workloads: who made the pod, and what follows from that; and about other people's wrappers.

use std::collections::BTreeMap;

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image;
use crate::pod::{Pod, Text};

/// Who made a pod, and what follows from that.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// The row's name, in statuses and metrics. Lower case, digits and dashes.
    pub name: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Rows are tried from the lowest rank on, so the more specific one has the lower.
    pub rank: u16,
    /// Everything that is written here must hold.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Its owner ends the sidecars itself: why the pod is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_by: Option<String>,
    /// Never runs before its proxy is ready, whatever `curfew.dev/on-ready-timeout` says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_wait: bool,
    /// Ports on which it talks in plain text with what is usually outside of the mesh.
    #[serde(default, skip_serializing_if = "PlainPorts::is_empty")]
    pub plain_ports: PlainPorts,
}

/// Ports of a workload that speak plain text, by who calls.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlainPorts {
    /// Ports of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<u16>,
    /// Ports of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outbound: Vec<u16>,
}

/// What a workload's pods look like before anything is injected.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Labels and their values, `*` for any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations and their values, `*` for any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Kind of the controlling owner; `none` for a pod without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Name of the Job, from the label the Job controller sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<JobName>,
    /// A regular container of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// A regular container whose image's repository is this path or ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// A Job's name.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobName {
    /// The name begins with the value of this label, and `pattern` is about the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Regular expression for the whole of it.
    pub pattern: Pattern,
}

/// A regular expression anchored at both ends.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// A program of others that wraps a command as Curfew does; a command that uses one is not wrapped twice.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wrapper {
    /// The row's name.
    pub name: String,
    /// File name of the program.
    pub program: String,
    /// What a user does to let Curfew handle the container.
    pub mend: String,
}

// === impl Workload ===

impl Workload {
    /// Whether a pod is this workload's.
    pub fn is(&self, pod: &Pod<'_>) -> bool {
        let Match { labels, annotations, owner, job_name, container, image } = &self.matches;
        all(labels, &pod.metadata.labels)
            && all(annotations, &pod.metadata.annotations)
            && owner.as_ref().is_none_or(|kind| match pod.controller() {
                Some(controller) => controller.kind == *kind,
                None => kind == "none",
            })
            && container.as_ref().is_none_or(|name| pod.spec.containers.iter().any(|c| c.name == *name))
            && image.as_ref().is_none_or(|path| {
                let images = pod.spec.containers.iter().filter_map(|c| c.image.as_deref());
                images.into_iter().any(|reference| image::ends_with_path(reference, path))
            })
            // Last, because regular expressions are dear.
            && job_name.as_ref().is_none_or(|name| name.is(pod))
    }
}

// === impl PlainPorts ===

impl PlainPorts {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.outbound.is_empty()
    }
}

/// Every wanted pair is there; `*` wants any value.
fn all(wanted: &BTreeMap<String, String>, present: &BTreeMap<Text<'_>, Text<'_>>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| present.get(key.as_str()).is_some_and(|found| value == "*" || *found == *value))
}

// === impl JobName ===

impl JobName {
    fn is(&self, pod: &Pod<'_>) -> bool {
        let prefix = match &self.after {
            Some(label) => match pod.metadata.label(label) {
                Some(value) => value,
                None => return false,
            },
            None => "",
        };
        pod.job_name()
            .and_then(|name| name.strip_prefix(prefix))
            .is_some_and(|rest| self.pattern.regex.is_match(rest))
    }
}

impl PartialEq for JobName {
    fn eq(&self, other: &Self) -> bool {
        self.after == other.after && self.pattern.text == other.pattern.text
    }
}

// === impl Pattern ===

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex =
            Regex::new(&format!("^(?:{text})$")).map_err(|error| format!("pattern `{text}`: {error}"))?;
        Ok(Self { text, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

// === impl Wrapper ===

impl Wrapper {
    /// Whether a container runs this program: as its command, as the first word of a shell's script, or as a word
    /// the script is given to run (`sh -c CHECK sh FILE scuttle k6 …`, as k6-operator writes it).
    pub fn wraps(&self, command: &[Text<'_>], args: &[Text<'_>]) -> bool {
        let is_it = |word: &str| word.rsplit('/').next() == Some(self.program.as_str());
        let mut words = command.iter().chain(args).map(|word| &**word);
        match words.next() {
            Some(shell) if shell.ends_with("sh") && words.next() == Some("-c") => {
                let script = words.next().and_then(|script| script.split_whitespace().next());
                script.into_iter().chain(words).any(is_it)
            }
            first => first.is_some_and(is_it),
        }
    }
}
