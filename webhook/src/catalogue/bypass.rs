//! Rows about sidecars: how ports are kept out of a proxy's way.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Catalogue;

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

impl Catalogue {
    /// Checks lists of ports, by annotations in which some mesh reads which ones it leaves alone.
    ///
    /// # Errors
    /// No mesh does by that one, or it is no such list.
    pub fn check_ports(&self, lists: &BTreeMap<String, String>) -> Result<(), String> {
        let known: Vec<_> =
            self.sidecars.iter().filter_map(|row| row.bypass.as_ref()).flat_map(Bypass::lists).collect();
        for (key, list) in lists {
            if !known.iter().any(|known| known.annotation == *key) {
                return Err(format!("no row of the catalogue has a `bypass` by `{key}`"));
            }
            if !is_port_list(list) {
                return Err(format!("{key}: `{list}` is no list of ports, as in 80,4567-4570"));
            }
        }
        Ok(())
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
fn is_port_list(list: &str) -> bool {
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
    fn lists_of_an_installation_are_checked_by_key_and_value() {
        let catalogue = Catalogue::embedded().expect("the embedded catalogue");
        let check =
            |key: &str, list: &str| catalogue.check_ports(&[(key.to_owned(), list.to_owned())].into());
        let istio = "traffic.sidecar.istio.io/excludeInboundPorts";
        assert_eq!(check(istio, "15090,80-90"), Ok(()));
        assert!(
            check(istio, "15090;15091").is_err_and(|why| why.contains(istio) && why.contains("15090;15091"))
        );
        assert!(check("example.com/ports", "80").is_err_and(|why| why.contains("example.com/ports")));
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
