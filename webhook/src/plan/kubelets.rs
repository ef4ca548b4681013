//! What the kubelets of the cluster can do. A pod is planned before anyone knows its node, so what a plan relies on
//! every kubelet must have.

use std::{fmt, iter, str::FromStr};

use serde::{Deserialize, Serialize};

/// The version of a kubelet.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// 1, so far.
    pub major: u32,
    /// The release.
    pub minor: u32,
    /// Its patch; 0 where none is named.
    pub patch: u32,
}

/// A text that is no [`Version`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no version of a kubelet: write it as in 1.33.6")]
pub struct NoVersion(String);

/// Whether every kubelet can do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Support {
    /// Every one.
    Yes,
    /// One cannot: which, and what it would need.
    No(String),
    /// Nobody knows, and this is why.
    Unknown(String),
}

/// What the kubelets of the cluster can do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kubelets {
    /// They end native sidecars with the pod.
    pub native: Support,
    /// A startupProbe of a native sidecar may be relied on under `restartPolicy: Never`: an older kubelet never
    /// starts the mains if it fails once (kubernetes/kubernetes#132826).
    pub startup_probes: Support,
}

/// One ability: its name, and which kubelets have it.
struct Ability {
    name: &'static str,
    /// What a single kubelet needs, for people and as a test.
    need: &'static str,
    has: fn(Version) -> bool,
    /// From here on every kubelet has it, whatever its release.
    always: Version,
    /// The same for people.
    need_of_all: &'static str,
}

const NATIVE: Ability = Ability {
    name: "native sidecars",
    need: "1.29",
    has: |version| version >= Version::new(1, 29, 0),
    always: Version::new(1, 29, 0),
    need_of_all: "1.29",
};

const STARTUP_PROBES: Ability = Ability {
    name: "startup probes of native sidecars",
    need: "1.33.6, 1.34.2 or 1.35",
    has: |version| match (version.major, version.minor) {
        (1, 33) => version.patch >= 6,
        _ => version >= Version::new(1, 34, 2),
    },
    always: Version::new(1, 34, 2),
    need_of_all: "1.34.2 as the oldest",
};

// === impl Version ===

impl Version {
    /// That version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    /// Reads what a node tells: what distributions append (`-eks-113cf36`, `+k3s1`) does not count.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let wrong = || NoVersion(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| {
            // `parse` alone would take a sign.
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| number.parse().ok()).flatten().ok_or_else(wrong)
        });
        let (major, minor) = (numbers.next().ok_or_else(wrong)??, numbers.next().ok_or_else(wrong)??);
        let patch = numbers.next().transpose()?.unwrap_or_default();
        numbers.next().map_or(Ok(Self { major, minor, patch }), |_| Err(wrong()))
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

// === impl Support ===

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No(why) => write!(f, "no: {why}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

// === impl Kubelets ===

impl Default for Kubelets {
    /// Nobody looks at nodes here.
    fn default() -> Self {
        Self::unknown("the nodes' kubelets are not known here")
    }
}

impl Kubelets {
    /// What these nodes can do, by name and version, and any there may be later: none older than `floor`, which comes
    /// with who says so, as in `("nodes.oldestKubelet allows", version)`.
    pub fn of<'a>(nodes: impl Iterator<Item = (&'a str, Version)>, floor: Option<(&str, Version)>) -> Self {
        let nodes: Vec<_> = nodes.collect();
        if nodes.is_empty() && floor.is_none() {
            return Self::unknown(
                "there is no node to look at; nodes.oldestKubelet can name the oldest kubelet",
            );
        }
        let [native, startup_probes] = [NATIVE, STARTUP_PROBES].map(|ability| ability.of(&nodes, floor));
        Self { native, startup_probes }
    }

    /// What any can do that is none older than this; `who` says so.
    pub fn none_older(who: &str, oldest: Version) -> Self {
        Self::of(iter::empty(), Some((who, oldest)))
    }

    /// The same, but for a kubelet nobody knows: what all others can do is not known of all.
    #[must_use]
    pub fn beside_unknown(mut self, why: &str) -> Self {
        for support in [&mut self.native, &mut self.startup_probes] {
            if *support == Support::Yes {
                *support = Support::Unknown(why.to_owned());
            }
        }
        self
    }

    /// Nothing is known of them, and this is why.
    pub fn unknown(why: impl Into<String>) -> Self {
        let native = Support::Unknown(why.into());
        Self { startup_probes: native.clone(), native }
    }
}

// === impl Ability ===

impl Ability {
    /// The oldest kubelet without it is the one to name; of several, the first by name.
    fn of(&self, nodes: &[(&str, Version)], floor: Option<(&str, Version)>) -> Support {
        let Self { name: ability, need, has, always, need_of_all } = self;
        let without = nodes.iter().filter(|(_, version)| !has(*version));
        if let Some((node, version)) = without.min_by_key(|(node, version)| (*version, *node)) {
            return Support::No(format!("node {node} runs kubelet {version}; {ability} need {need}"));
        }
        // Above a floor is every release, those between two that have it included.
        match floor.filter(|(_, version)| version < always) {
            Some((who, version)) => {
                Support::No(format!("{who} kubelet {version}; {ability} need {need_of_all}"))
            }
            None => Support::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(versions: &[&str]) -> Kubelets {
        let names: Vec<_> = (1..=versions.len()).map(|number| format!("node-{number}")).collect();
        let versions = versions.iter().map(|version| version.parse().expect("a version"));
        Kubelets::of(names.iter().map(String::as_str).zip(versions), None)
    }

    #[test]
    fn versions_are_read_as_nodes_tell_them() {
        for (text, shown) in [
            ("v1.33.5-eks-113cf36", "1.33.5"),
            ("v1.29.6+k3s1", "1.29.6"),
            ("v1.30.0-rc.1+abc", "1.30.0"),
            ("v1.33.5-gke.1080000", "1.33.5"),
            ("1.34", "1.34.0"),
            ("1.9.11", "1.9.11"),
        ] {
            assert_eq!(text.parse::<Version>().expect(text).to_string(), shown, "{text}");
        }
        for text in ["", "v", "1", "one.two", "1.+2", "1.29.x", "1.29.1.1", "1..2", "1.99999999999", " 1.29"]
        {
            let error = text.parse::<Version>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("1.33.6"), "{error}");
        }
        assert!(Version::new(1, 9, 11) < Version::new(1, 29, 0));
    }

    #[test]
    fn each_ability_begins_with_its_release() {
        for (version, native, startup_probes) in [
            ("1.28.15", false, false),
            ("1.29.0", true, false),
            ("1.33.5", true, false),
            ("1.33.6", true, true),
            ("1.34.0", true, false),
            ("1.34.1", true, false),
            ("1.34.2", true, true),
            ("1.35.0", true, true),
            ("2.0.0", true, true),
        ] {
            let Kubelets { native: sidecars, startup_probes: probes } = of(&[version]);
            assert_eq!(
                (sidecars == Support::Yes, probes == Support::Yes),
                (native, startup_probes),
                "{version}"
            );
        }
    }

    #[test]
    fn one_old_kubelet_speaks_for_all_and_is_named() {
        let old = of(&["1.35.0", "1.28.9", "1.28.3", "1.28.3", "1.34.1"]);
        let says = |need| Support::No(format!("node node-3 runs kubelet 1.28.3; {need}"));
        assert_eq!(old.native, says("native sidecars need 1.29"));
        assert_eq!(old.startup_probes, says("startup probes of native sidecars need 1.33.6, 1.34.2 or 1.35"));
        // Not the oldest of all, but the oldest without it.
        let Support::No(reason) = of(&["1.33.6", "1.34.1"]).startup_probes else {
            panic!("1.34.1 has it not")
        };
        assert!(reason.starts_with("node node-2 runs kubelet 1.34.1; "), "{reason}");
    }

    #[test]
    fn a_floor_counts_beside_the_nodes_and_alone() {
        let floor = |version: &str| Some(("nodes.oldestKubelet allows", version.parse().expect("a version")));
        let new = [("node-1", Version::new(1, 36, 3))];
        for nodes in [&new[..], &[]] {
            let with = |version| Kubelets::of(nodes.iter().copied(), floor(version));
            assert_eq!(
                with("1.28").native,
                Support::No("nodes.oldestKubelet allows kubelet 1.28.0; native sidecars need 1.29".into())
            );
            assert_eq!(with("1.29").native, Support::Yes);
            // A node of 1.33.6 has it, but beside one of 1.33.6 there may be one of 1.34.1.
            assert!(
                matches!(with("1.33.6").startup_probes, Support::No(why) if why.ends_with("1.34.2 as the oldest"))
            );
            assert_eq!(with("1.34.2").startup_probes, Support::Yes);
        }
    }

    #[test]
    fn of_no_node_nothing_is_known() {
        assert!(matches!(of(&[]).native, Support::Unknown(why) if why.contains("nodes.oldestKubelet")));
        assert!(matches!(Kubelets::unknown("why").startup_probes, Support::Unknown(why) if why == "why"));
    }
}
