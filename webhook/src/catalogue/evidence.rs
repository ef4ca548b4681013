//! What shows that a container is a sidecar, or how it runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image;
use crate::pod::{Container, Pod};

/// One thing that shows what a container is, or how it runs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Evidence {
    /// The image's repository is this path or ends with it.
    Image(String),
    /// The container has this environment variable.
    Env(String),
    /// The container's arguments begin with these.
    Args(Vec<String>),
    /// The container's command or arguments have this flag, and do not set it to `false`.
    Flag(String),
    /// The container has this environment variable, literally, and it means yes: `true`, `1` and so on.
    EnvOn(String),
    /// The file name of the first word of the container's command.
    Program(String),
    /// The container declares a port of this name.
    ContainerPort(String),
    /// The pod has this annotation, and it is not empty.
    Annotation(String),
    /// The pod has this annotation, and its text names the container in double quotes.
    NamedBy(String),
}

// === impl Evidence ===

impl Evidence {
    /// Whether it holds for a container of a pod.
    pub(super) fn holds(&self, container: &Container<'_>, pod: &Pod<'_>) -> bool {
        match self {
            Self::Image(path) => {
                container.image.as_deref().is_some_and(|image| image::ends_with_path(image, path))
            }
            Self::Env(name) => container.env.iter().any(|var| var.name == *name),
            Self::Args(prefix) => {
                container.args.len() >= prefix.len()
                    && container.args.iter().zip(prefix).all(|(a, b)| *a == *b)
            }
            Self::Flag(name) => flag(container, name).is_some_and(|value| value.is_none_or(means_yes)),
            Self::EnvOn(name) => container.env_value(name).is_some_and(means_yes),
            Self::Program(name) => container
                .command
                .first()
                .is_some_and(|program| program.rsplit('/').next() == Some(name.as_str())),
            Self::ContainerPort(name) => {
                container.ports.iter().any(|port| port.name.as_deref() == Some(name.as_str()))
            }
            Self::Annotation(key) => pod.metadata.annotation(key).is_some_and(|text| !text.is_empty()),
            Self::NamedBy(annotation) => pod
                .metadata
                .annotation(annotation)
                .is_some_and(|text| text.contains(&format!("\"{}\"", container.name))),
        }
    }
}

/// A flag among the words of a container's command and arguments, by its name with the dashes: its value, where one is
/// written behind an equals sign. Of several the last one holds.
pub(super) fn flag<'c>(container: &'c Container<'_>, name: &str) -> Option<Option<&'c str>> {
    let words = container.command.iter().chain(&container.args);
    words.rev().find_map(|word| match word.strip_prefix(name)? {
        "" => Some(None),
        rest => rest.strip_prefix('=').map(Some),
    })
}

/// A word that programs in Go read as true.
fn means_yes(text: &str) -> bool {
    ["1", "t", "T", "true", "TRUE", "True"].contains(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn holds(evidence: &str, container: Value) -> bool {
        let evidence: Evidence = serde_saphyr::from_str(evidence).expect(evidence);
        let raw = json!({"metadata": {"annotations": {"a": "b", "empty": ""}}, "spec": {"containers": [container]}})
            .to_string();
        let pod = Pod::read(&raw).expect("a pod");
        evidence.holds(&pod.spec.containers[0], &pod)
    }

    #[test]
    fn a_flag_is_a_whole_word_that_is_not_switched_off() {
        let with = |words: &[&str]| holds("flag: --quit", json!({"name": "a", "args": words}));
        for words in [&["--quit"][..], &["run", "--quit=true", "x"], &["--quit=false", "--quit"]] {
            assert!(with(words), "{words:?}");
        }
        for words in [&[][..], &["--quit=false"], &["--quitter"], &["-quit"], &["--quit", "--quit=0"]] {
            assert!(!with(words), "{words:?}");
        }
        assert!(holds("flag: --quit", json!({"name": "a", "command": ["proxy", "--quit"]})));
    }

    #[test]
    fn variables_programs_ports_and_annotations_are_told_by_what_they_say() {
        let env = |value: &str| json!({"name": "a", "env": [{"name": "QUIT", "value": value}]});
        assert!(holds("envOn: QUIT", env("true")) && !holds("envOn: QUIT", env("false")));
        let program = |path: &str| json!({"name": "a", "command": [path]});
        assert!(
            holds("program: proxy", program("/usr/bin/proxy")) && holds("program: proxy", program("proxy"))
        );
        assert!(
            !holds("program: proxy", program("/proxy/x")) && !holds("program: proxy", json!({"name": "a"}))
        );
        let port = json!({"name": "a", "ports": [{"name": "admin", "containerPort": 1}]});
        assert!(holds("containerPort: admin", port.clone()) && !holds("containerPort: other", port));
        let any = || json!({"name": "a"});
        assert!(holds("annotation: a", any()) && !holds("annotation: empty", any()));
        assert!(!holds("annotation: none", any()));
    }
}
