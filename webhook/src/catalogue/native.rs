//! Rows about sidecars: how one is made a native sidecar.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a classic sidecar needs to become a native one: an init container with `restartPolicy: Always`, which the
/// kubelet ends with the pod. All of it may be left out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Native {
    /// Init containers that redirect the pod's traffic: it goes behind the last of them, so that init containers
    /// before them keep the plain network they had. In front of all where the pod has none of them, but for init
    /// containers with which it shares an `emptyDir`: they may write what it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<String>,
    /// Init containers that prove that redirection is on before any container runs (by a CNI plugin). They come
    /// first and the sidecar right behind them: others have no network without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validators: Vec<String>,
    /// Its `postStart` hook is dropped where it executes a command that begins with these words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_post_start: Vec<String>,
    /// Its `preStop` hook is dropped where it executes a command that begins with these words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_pre_stop: Vec<String>,
    /// Command of the `preStop` hook it gets unless it has one. `{name}` is one of the row's ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_pre_stop: Vec<String>,
    /// Annotation in which the injector keeps, as JSON, the names of what it put into `containers` and into
    /// `initContainers`; kept true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_in: Option<String>,
}

impl Native {
    /// The words of `addPreStop` with ports filled in; none where there are none, or a port of theirs is off (0).
    pub(super) fn pre_stop(&self, ports: &BTreeMap<&str, u16>) -> Option<Vec<String>> {
        let filled = |word: &String| {
            ports.iter().try_fold(word.clone(), |word, (name, number)| {
                let place = format!("{{{name}}}");
                let is_off = *number == 0 && word.contains(&place);
                (!is_off).then(|| word.replace(&place, &number.to_string()))
            })
        };
        let words: Option<Vec<_>> = self.add_pre_stop.iter().map(filled).collect();
        words.filter(|words| !words.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_names_the_ports_of_the_pod_and_is_none_without_them() {
        let native = |words: &[&str]| Native {
            add_pre_stop: words.iter().map(|word| str::to_owned(word)).collect(),
            ..Native::default()
        };
        let drain = native(&["agent", "--port={status}", "{other}"]);
        let words = |ports| drain.pre_stop(&BTreeMap::from(ports));
        assert_eq!(words([("status", 15021)]).expect("words"), ["agent", "--port=15021", "{other}"]);
        assert_eq!(words([("status", 0)]), None);
        assert_eq!(native(&[]).pre_stop(&BTreeMap::new()), None);
    }
}
