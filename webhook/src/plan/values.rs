//! Values of labels and annotations that are one of a few words.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What was done to a pod: the value of the label `curfew.dev/applied`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Nothing: there is no sidecar, or none that holds the pod.
    None,
    /// The mesh's own native mode.
    Switch,
    /// The sidecar is made a native one.
    Native,
    /// Commands are wrapped.
    Await,
    /// A container that ends the sidecars is added.
    Reaper,
    /// Nothing applies.
    Leave,
}

/// What a user may wish for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// The first that applies.
    #[default]
    Auto,
    /// The mesh's own native mode.
    Switch,
    /// Make the sidecar a native one.
    Native,
    /// Wrap the commands.
    Await,
    /// Add a container that ends the sidecars.
    Reaper,
    /// Do not touch the pod at all.
    Off,
}

/// What happens when a sidecar is not ready in time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// The main does not start; its container exits with 69.
    #[default]
    Fail,
    /// The main starts all the same.
    Run,
}

/// Whether k6's control port is in the mesh.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ControlPort {
    /// It is kept out: an operator outside of the mesh reaches it.
    #[default]
    Bypass,
    /// It stays in: the mesh decides who reaches it.
    Mesh,
}

/// Whether the reaper stands by where commands are wrapped.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// It does, for wrappers that are killed with their mains.
    #[default]
    On,
    /// It does not.
    Off,
}

// === impl OnTimeout ===

impl OnTimeout {
    /// As annotations and the wrapper's flags write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Run => "run",
        }
    }
}

impl FromStr for OnTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "run" => Ok(Self::Run),
            _ => Err(format!("`{text}` is neither fail nor run")),
        }
    }
}

// === impl ControlPort ===

impl ControlPort {
    /// As annotations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Mesh => "mesh",
        }
    }
}

impl FromStr for ControlPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bypass" => Ok(Self::Bypass),
            "mesh" => Ok(Self::Mesh),
            _ => Err(format!("`{text}` is neither bypass nor mesh")),
        }
    }
}

// === impl Net ===

impl Net {
    /// As annotations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{text}` is neither on nor off")),
        }
    }
}

// === impl Strategy ===

impl Strategy {
    /// As labels, metrics and statuses write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Switch => "switch",
            Self::Native => "native",
            Self::Await => "await",
            Self::Reaper => "reaper",
            Self::Leave => "leave",
        }
    }
}

// === impl Wish ===

impl Wish {
    /// Every value, for messages.
    pub const NAMES: &str = "auto, switch, native, await, reaper, off";

    /// As annotations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Switch => "switch",
            Self::Native => "native",
            Self::Await => "await",
            Self::Reaper => "reaper",
            Self::Off => "off",
        }
    }
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Switch, Self::Native, Self::Await, Self::Reaper, Self::Off]
            .into_iter()
            .find(|wish| wish.name() == text)
            .ok_or_else(|| format!("`{text}` is no strategy (one of {})", Self::NAMES))
    }
}
