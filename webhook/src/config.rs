//! Behaviour: one YAML file, validated at start.

mod nodes;
mod reaper;

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path, time};

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Catalogue, Rows, Sidecar, Workload},
    duration::Duration,
    plan::{ControlPort, Net, OnTimeout, Wish},
};

pub(crate) use nodes::FLOOR;
pub use nodes::Nodes;
pub use reaper::{Delivery, PullPolicy, Reaper, Resources};

/// Under a second no proxy is ready; beyond a day a wait is a mistake.
pub(crate) const WAITS: RangeInclusive<time::Duration> =
    time::Duration::from_secs(1)..=time::Duration::from_secs(24 * 60 * 60);

/// Defaults and delivery.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// What holds where neither pod nor namespace says anything.
    pub defaults: Defaults,
    /// The program that is brought into pods.
    pub reaper: Reaper,
    /// Ports your meshes leave alone by their own installation's settings, by the annotation that replaces those.
    pub mesh_ports: BTreeMap<String, String>,
    /// Which nodes to look at.
    pub nodes: Nodes,
    /// The server watches pods and tells them that their work is done, which `reaper` and the net beside `await` need.
    pub watch: bool,
}

/// What holds where neither pod nor namespace says anything.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Defaults {
    /// `curfew.dev/strategy`.
    pub strategy: Wish,
    /// `curfew.dev/ready-timeout`.
    pub ready_timeout: Duration,
    /// `curfew.dev/on-ready-timeout`.
    pub on_ready_timeout: OnTimeout,
    /// `curfew.dev/k6-control-port`.
    pub k6_control_port: ControlPort,
    /// `curfew.dev/net`.
    pub net: Net,
}

/// The settings and the rows in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Defaults and delivery.
    pub settings: Settings,
    /// The rows, the file's own among them.
    pub catalogue: Catalogue,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    defaults: Defaults,
    reaper: Reaper,
    mesh_ports: BTreeMap<String, String>,
    nodes: Nodes,
    /// `true` where it is left out.
    watch: Option<bool>,
    catalogue: Rows,
}

/// Why a configuration does not hold. The message names the file and the place.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It says something that does not hold.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: String,
        /// What and where.
        reason: String,
    },
}

// === impl Config ===

impl Config {
    /// Built-in defaults and rows.
    ///
    /// # Errors
    /// An embedded row is broken, which a test keeps from ever being released.
    pub fn builtin() -> Result<Self, ConfigError> {
        Self::parse("", "(built-in)")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it does not hold. Here, unlike in a pod's annotation, one broken row
    /// refuses the whole file: its author is at hand.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: name.clone(), source })?;
        Self::parse(&text, &name)
    }

    /// Reads a file's text; `path` is its name in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        let invalid = |reason: String| ConfigError::Invalid { path: path.to_owned(), reason };
        let file: Option<File> =
            serde_saphyr::from_str(text).map_err(|error| invalid(error.without_snippet().to_string()))?;
        let File { defaults, reaper, nodes, mesh_ports, watch, catalogue: rows } = file.unwrap_or_default();
        let watch = watch.unwrap_or(Settings::default().watch);
        if !WAITS.contains(&defaults.ready_timeout.as_std()) {
            return Err(invalid(format!(
                "defaults.readyTimeout: `{}` is not from 1s to 24h",
                defaults.ready_timeout
            )));
        }
        if let Some(reason) = reaper.resources.as_ref().and_then(Resources::broken) {
            return Err(invalid(format!("reaper.resources: {reason}")));
        }
        if reaper.image.is_empty() || reaper.image.contains(char::is_whitespace) {
            return Err(invalid(format!("reaper.image: `{}` is no image reference", reaper.image)));
        }
        if let Some(name) = reaper.image_pull_secrets.iter().find(|name| !is_object_name(name)) {
            return Err(invalid(format!("reaper.imagePullSecrets: `{name}` is no name of a Secret")));
        }
        let (sidecars, workloads, broken) = rows.read();
        if !broken.is_empty() {
            let rows: Vec<_> = broken.iter().map(ToString::to_string).collect();
            return Err(invalid(format!("catalogue: {}", rows.join("; "))));
        }
        let mut catalogue = Catalogue::embedded().map_err(invalid)?;
        catalogue.extend(sidecars, workloads);
        catalogue.check_ports(&mesh_ports).map_err(|reason| invalid(format!("meshPorts: {reason}")))?;
        Ok(Self { settings: Settings { defaults, reaper, nodes, mesh_ports, watch }, catalogue })
    }

    /// The configuration in force, as YAML that could be given again.
    pub fn to_yaml(&self) -> String {
        #[derive(Serialize)]
        struct InForce<'a> {
            #[serde(flatten)]
            settings: &'a Settings,
            catalogue: RowsInForce<'a>,
        }
        #[derive(Serialize)]
        struct RowsInForce<'a> {
            sidecars: &'a [Sidecar],
            workloads: &'a [Workload],
        }
        let Self { settings, catalogue } = self;
        let catalogue = RowsInForce { sidecars: &catalogue.sidecars, workloads: &catalogue.workloads };
        serde_saphyr::to_string(&InForce { settings, catalogue }).unwrap_or_default()
    }
}

/// Whether an object may be called so: the API server would refuse every pod that names another.
fn is_object_name(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ['-', '.'].contains(&c);
    let ends = |c: char| of_name(c) && c.is_ascii_alphanumeric();
    name.len() <= 253 && name.chars().all(of_name) && name.starts_with(ends) && name.ends_with(ends)
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            defaults: Defaults::default(),
            reaper: Reaper::default(),
            mesh_ports: BTreeMap::new(),
            nodes: Nodes::default(),
            watch: true,
        }
    }
}

// === impl Defaults ===

impl Default for Defaults {
    fn default() -> Self {
        let ready_timeout = Duration::from(time::Duration::from_secs(60));
        Self {
            ready_timeout,
            strategy: Wish::Auto,
            on_ready_timeout: OnTimeout::Fail,
            k6_control_port: ControlPort::Bypass,
            net: Net::On,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watch_and_the_net_are_on_unless_somebody_says_otherwise() {
        let config = Config::parse("", "f").expect("valid");
        assert!(config.settings.watch && config.settings.defaults.net == Net::On);
        let config = Config::parse("watch: false\ndefaults: {net: off}", "f").expect("valid");
        assert!(!config.settings.watch && config.settings.defaults.net == Net::Off);
        assert_eq!(Config::parse(&config.to_yaml(), "printed").expect("valid again"), config);
    }

    #[test]
    fn what_is_printed_can_be_given_again() {
        let text =
            "defaults: {readyTimeout: 5m, onReadyTimeout: run}\nnodes: {oldestKubelet: 1.30, selector: a!=b}";
        let config = Config::parse(text, "f").expect("valid");
        // Written like a number, but it is none.
        assert_eq!(config.settings.nodes.oldest_kubelet, Some(crate::plan::Version::new(1, 30, 0)));
        assert_eq!(Config::parse(&config.to_yaml(), "printed").expect("valid again"), config);
    }

    #[test]
    fn what_does_not_hold_is_refused_with_file_and_place() {
        let refused = |text: &str| Config::parse(text, "curfew.yaml").expect_err(text).to_string();
        assert!(refused("defaults: {readyTimeout: soon}").contains("soon"));
        assert!(refused("defaults:\n  startegy: await").contains("startegy"));
        assert!(refused("reaper: {image: ''}").contains("reaper.image"));
        assert!(refused("defaults: {readyTimeout: 10ms}").contains("readyTimeout"));
        assert!(refused("defaults: {readyTimeout: 25h}").contains("readyTimeout"));
        assert!(refused("reaper: {resources: {limits: {memory: lots}}}").contains("lots"));
        assert!(refused("reaper: {resources: {request: {cpu: 1m}}}").contains("request"));
        for name in ["''", "Mirror", "-a", "a.", "a b"] {
            let refused = refused(&format!("reaper: {{imagePullSecrets: [mirror, {name}]}}"));
            assert!(refused.contains("reaper.imagePullSecrets"), "{refused}");
        }
        for (text, place) in [
            ("nodes: {oldestKubelet: new}", "nodes.oldestKubelet: `new`"),
            ("nodes: {selector: 'a=b=c'}", "nodes.selector: `a=b=c`"),
            ("nodes: {select: a}", "select"),
        ] {
            let refused = refused(text);
            assert!(refused.starts_with("curfew.yaml: ") && refused.contains(place), "{refused}");
        }
        let above = refused("reaper: {resources: {requests: {cpu: '2'}, limits: {cpu: 500m}}}");
        assert!(above.contains("above the limit"), "{above}");
        let row =
            refused("catalogue:\n  sidecars:\n  - {name: far, containers: [far], ready: http://10.0.0.1:1/}");
        assert!(row.starts_with("curfew.yaml: catalogue: row `far` (line 3)"), "{row}");
    }
}
