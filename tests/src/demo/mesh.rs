//! The meshes of the demo.

/// Whose sidecar the pods have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mesh {
    /// Linkerd, classic: proxy first, a postStart hook holds the main back.
    Linkerd,
    /// Istio, classic: proxy last, nothing holds the main back.
    Istio,
    /// A hand-written Envoy sidecar.
    Envoy,
}

// === impl Mesh ===

impl Mesh {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 3] = [Self::Linkerd, Self::Istio, Self::Envoy];

    /// Its proxy's container.
    pub(super) fn proxy(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd-proxy",
            Self::Istio => "istio-proxy",
            Self::Envoy => "envoy",
        }
    }

    /// Its init container: it writes iptables rules, which takes root and a network namespace.
    pub(super) fn redirect(self) -> Option<&'static str> {
        match self {
            Self::Linkerd => Some("linkerd-init"),
            Self::Istio => Some("istio-init"),
            Self::Envoy => None,
        }
    }

    /// `--shape` of the stand-in proxy.
    pub(super) fn shape(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd",
            Self::Istio => "istio",
            Self::Envoy => "envoy",
        }
    }

    /// Port and path where the proxy says that it is ready.
    pub(super) fn ready(self) -> &'static str {
        match self {
            Self::Linkerd => ":4191/ready",
            Self::Istio => ":15021/healthz/ready",
            Self::Envoy => ":9901/ready",
        }
    }
}

impl std::fmt::Display for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Linkerd => "Linkerd",
            Self::Istio => "Istio",
            Self::Envoy => "Envoy",
        })
    }
}
