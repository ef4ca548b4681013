//! Rows about sidecars: how ports are kept out of a proxy's way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a mesh is told to leave ports of a pod alone. Its injector reads it, so it counts before injection only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bypass {
    /// Ports of the pod that are reached directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<PortList>,
    /// Ports of others that the pod reaches directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<PortList>,
}

/// An annotation that lists ports: numbers and ranges as in `80,4567-4570`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortList {
    /// Its key.
    pub annotation: String,
    /// What the mesh takes where nobody sets it. The annotation replaces that, so it has to be in there too.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub default: String,
}

impl Bypass {
    /// The lists there are.
    pub(super) fn lists(&self) -> impl Iterator<Item = &PortList> {
        self.inbound.iter().chain(&self.outbound)
    }
}

/// Whether a list of ports names this one.
pub fn lists_port(list: &str, port: u16) -> bool {
    list.split(',').map(str::trim).any(|item| match item.split_once('-') {
        Some((first, last)) => {
            let number = |text: &str| text.trim().parse::<u16>().ok();
            number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&port))
        }
        None => item == "*" || item.parse() == Ok(port),
    })
}

/// Whether a text is a list of ports and ranges of them, or `*` for all.
pub(super) fn is_port_list(list: &str) -> bool {
    let is_port = |text: &str| text.trim().parse::<u16>().is_ok();
    list.split(',').map(str::trim).all(|item| match item.split_once('-') {
        Some((first, last)) => is_port(first) && is_port(last),
        None => item == "*" || is_port(item),
    })
}

/// The list with this port as well; the others stay as they are written.
pub fn with_port(list: &str, port: u16) -> String {
    match list.trim().trim_end_matches(',') {
        "" => port.to_string(),
        list => format!("{list},{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_listed_by_its_number_a_range_or_all() {
        for list in ["6565", "80, 6565", "6000-7000", "80,6565-6565", "*"] {
            assert!(lists_port(list, 6565), "{list}");
        }
        for list in ["", "656", "65650", "6000-6564", "7000-6000", "six-seven", "16565"] {
            assert!(!lists_port(list, 6565), "{list}");
        }
    }

    #[test]
    fn a_list_is_made_of_ports_and_ranges() {
        for list in ["80", "80, 90-95", "*"] {
            assert!(is_port_list(list), "{list}");
        }
        for list in ["", "80;90", "80,", "http", "1-", "70000"] {
            assert!(!is_port_list(list), "{list}");
        }
    }

    #[test]
    fn what_was_listed_stays() {
        assert_eq!(with_port("", 6565), "6565");
        assert_eq!(with_port(" 80, 90-95 ", 6565), "80, 90-95,6565");
        assert_eq!(with_port("80,", 6565), "80,6565");
    }
}
