//! The admin interfaces of the meshes: ports, paths, and the words they answer with.

use std::str::FromStr;

/// Whose admin port the stand-in plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// linkerd2-proxy.
    Linkerd,
    /// Istio's pilot-agent; ready and shutdown have ports of their own.
    Istio,
    /// A plain Envoy.
    Envoy,
    /// Vault's agent.
    Vault,
}

/// A text that names no shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownShape(String);

impl std::fmt::Display for UnknownShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is no shape; known: linkerd, istio, envoy, vault", self.0)
    }
}

impl std::error::Error for UnknownShape {}

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linkerd" => Ok(Self::Linkerd),
            "istio" => Ok(Self::Istio),
            "envoy" => Ok(Self::Envoy),
            "vault" => Ok(Self::Vault),
            _ => Err(UnknownShape(text.to_owned())),
        }
    }
}

// === impl Shape ===

impl Shape {
    pub(super) fn ready_port(self) -> u16 {
        match self {
            Self::Linkerd => 4191,
            Self::Istio => 15021,
            Self::Envoy => 9901,
            Self::Vault => 8200,
        }
    }

    pub(super) fn shutdown_port(self) -> u16 {
        match self {
            Self::Linkerd => 4191,
            Self::Istio => 15020,
            Self::Envoy => 9901,
            Self::Vault => 8200,
        }
    }

    pub(super) fn ready_path(self) -> &'static str {
        match self {
            Self::Istio => "/healthz/ready",
            Self::Linkerd | Self::Envoy => "/ready",
            // It has none; this one is answered as soon as it listens.
            Self::Vault => "/agent/v1/metrics",
        }
    }

    pub(super) fn shutdown_path(self) -> &'static str {
        match self {
            Self::Linkerd => "/shutdown",
            Self::Istio | Self::Envoy => "/quitquitquit",
            Self::Vault => "/agent/v1/quit",
        }
    }

    pub(super) fn ready_body(self) -> &'static str {
        match self {
            Self::Linkerd => "ready\n",
            Self::Istio | Self::Vault => "",
            Self::Envoy => "LIVE\n",
        }
    }

    /// What it answers with 404 where the endpoint is not enabled.
    pub(super) fn disabled_body(self) -> &'static str {
        match self {
            Self::Vault => "",
            Self::Linkerd | Self::Istio | Self::Envoy => "shutdown endpoint is not enabled\n",
        }
    }

    /// Whether an endpoint that is not enabled is 404 whatever the method.
    pub(super) fn hides_what_is_disabled(self) -> bool {
        self == Self::Vault
    }

    pub(super) fn shutdown_body(self) -> &'static str {
        match self {
            Self::Linkerd => "shutdown\n",
            Self::Istio => "OK",
            Self::Envoy => "OK\n",
            Self::Vault => "",
        }
    }
}
