//! What tests ask of the mesh, by annotations of a pod or of its namespace.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Map, Value};

use crate::duration;

/// Before the names of our own annotations.
pub(crate) const PREFIX: &str = "mesh.test/";

/// Whose shape the sidecar has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Linkerd's.
    #[default]
    Linkerd,
    /// Istio's.
    Istio,
}

/// How the sidecar of one pod behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) shape: Shape,
    /// `None` for a proxy that never gets ready.
    pub(crate) ready_after: Option<Duration>,
    pub(crate) strict: bool,
    /// Whether an init container redirects the pod's traffic.
    pub(crate) init: bool,
    pub(crate) crash_after: Option<Duration>,
    pub(crate) oom_after: Option<Duration>,
    /// Whether the mesh is of a version that knows its annotation for native sidecars.
    pub(crate) native_capable: bool,
}

/// Annotations of a pod over those of its namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Annotations<'a> {
    pub(crate) pod: Option<&'a Map<String, Value>>,
    pub(crate) namespace: Option<&'a Map<String, Value>>,
}

const NAMES: [&str; 7] =
    ["shape", "ready-after", "strict", "init", "crash-after", "oom-after", "native-capable"];

// === impl Shape ===

impl Shape {
    /// As in the annotation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd",
            Self::Istio => "istio",
        }
    }

    /// Reads [`Self::name`].
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        match text {
            "linkerd" => Ok(Self::Linkerd),
            "istio" => Ok(Self::Istio),
            _ => bail!("{text:?} is no shape of this mesh: write linkerd or istio"),
        }
    }
}

// === impl Annotations ===

impl<'a> Annotations<'a> {
    /// The pod's own.
    pub(crate) fn of_pod(self, name: &str) -> Option<&'a str> {
        self.pod.and_then(|all| all.get(name)).and_then(Value::as_str)
    }

    /// The pod's, or its namespace's.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        let of_namespace = || self.namespace.and_then(|all| all.get(name)).and_then(Value::as_str);
        self.of_pod(name).or_else(of_namespace)
    }
}

// === impl Options ===

impl Options {
    /// Reads all; an error names the annotation, so that a test with a slip of the pen fails at its pod.
    pub(crate) fn read(annotations: Annotations<'_>) -> anyhow::Result<Self> {
        for all in [annotations.pod, annotations.namespace].into_iter().flatten() {
            for name in all.keys().filter_map(|name| name.strip_prefix(PREFIX)) {
                if !NAMES.contains(&name) {
                    bail!("{PREFIX}{name} is no annotation of this mesh: write one of {}", NAMES.join(", "));
                }
            }
        }
        let text = |name: &str| annotations.get(&format!("{PREFIX}{name}"));
        let duration = |name: &str| {
            text(name).map(duration::parse).transpose().with_context(|| format!("{PREFIX}{name}"))
        };
        let switch = |name: &str, default: bool| match text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => bail!("{PREFIX}{name} is {other:?}: write true or false"),
        };
        Ok(Self {
            shape: text("shape")
                .map(Shape::parse)
                .transpose()
                .with_context(|| format!("{PREFIX}shape"))?
                .unwrap_or_default(),
            ready_after: match text("ready-after") {
                Some("never") => None,
                _ => Some(duration("ready-after")?.unwrap_or_default()),
            },
            strict: switch("strict", false)?,
            init: switch("init", true)?,
            crash_after: duration("crash-after")?,
            oom_after: duration("oom-after")?,
            native_capable: switch("native-capable", false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(pod: Value, namespace: Value) -> anyhow::Result<Options> {
        Options::read(Annotations { pod: pod.as_object(), namespace: namespace.as_object() })
    }

    #[test]
    fn the_pod_wins_over_its_namespace() {
        let namespace = json!({ "mesh.test/shape": "istio", "mesh.test/ready-after": "3s", "other": "x" });
        let options = read(json!({ "mesh.test/ready-after": "never" }), namespace).unwrap();
        assert_eq!((options.shape, options.ready_after), (Shape::Istio, None));
        let default = read(Value::Null, Value::Null).unwrap();
        assert_eq!(
            (default.shape, default.ready_after, default.init),
            (Shape::Linkerd, Some(Duration::ZERO), true)
        );
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        for (name, value) in [
            ("shape", "kuma"),
            ("ready-after", "soon"),
            ("strict", "yes"),
            ("redy-after", "3s"),
            ("oom-after", "5"),
        ] {
            let error = read(json!({ format!("mesh.test/{name}"): value }), Value::Null).unwrap_err();
            assert!(format!("{error:#}").contains(&format!("mesh.test/{name}")), "{error:#}");
        }
    }
}
