//! Which nodes to look at, and what is known of those that are not there yet.

use std::sync::LazyLock;

use kube::api::ListParams;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::plan::{Kubelets, Version};

/// Which nodes to look at, and what is known of those that are not there yet.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", try_from = "Written")]
pub struct Nodes {
    /// No kubelet is older, nor will be: counts beside the nodes that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_kubelet: Option<Version>,
    /// A label selector of the nodes that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// The same as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Written {
    oldest_kubelet: Option<String>,
    selector: Option<String>,
}

/// Who names the floor, in messages.
pub(crate) const FLOOR: &str = "nodes.oldestKubelet allows";

// === impl Nodes ===

impl Nodes {
    /// What a list of the nodes that count is asked for by.
    pub(crate) fn listed(&self) -> ListParams {
        ListParams { label_selector: self.selector.clone(), ..ListParams::default() }
    }

    /// What is known of the kubelets where no node is looked at.
    pub fn kubelets_unseen(&self) -> Kubelets {
        match self.oldest_kubelet {
            Some(oldest) => Kubelets::none_older(FLOOR, oldest),
            None => Kubelets::default(),
        }
    }
}

impl TryFrom<Written> for Nodes {
    type Error = String;

    fn try_from(Written { oldest_kubelet, selector }: Written) -> Result<Self, String> {
        let oldest_kubelet = oldest_kubelet
            .map(|text| text.parse().map_err(|error| format!("nodes.oldestKubelet: {error}")))
            .transpose()?;
        if let Some(selector) = selector.as_deref().filter(|selector| !is_selector(selector)) {
            return Err(format!(
                "nodes.selector: `{selector}` is no label selector: write it as in type!=virtual-kubelet"
            ));
        }
        Ok(Self { oldest_kubelet, selector })
    }
}

/// Whether the API server would take it: one it does not would keep every replica from ever being ready.
fn is_selector(text: &str) -> bool {
    static SELECTOR: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let name = "[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
        let key = format!("(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{name}");
        let set = format!(r"\(\s*(?:{name})?(?:\s*,\s*(?:{name})?)*\s*\)");
        let value = format!(r"\s*(?:==?|!=)\s*(?:{name})?|\s*[<>]\s*-?[0-9]+|\s+(?:not)?in\s*{set}");
        let requirement = format!(r"\s*(?:!\s*{key}|{key}(?:{value})?)\s*");
        Regex::new(&format!("^{requirement}(?:,{requirement})*$")).ok()
    });
    SELECTOR.as_ref().is_some_and(|selector| selector.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_those_of_kubernetes() {
        for text in [
            "type!=virtual-kubelet",
            "kubernetes.io/os=linux,!node-role.kubernetes.io/control-plane",
            "pool in (a, b),spot",
            "pool notin (a)",
            "cores > 4, a == b",
            "empty=",
        ] {
            assert!(is_selector(text), "{text}");
        }
        for text in
            ["", ",", "a=b,", "a in", "a in b", "a isin (b)", "-a", "a=b c", "a/b/c", "a=b=c", "a > b", "ä"]
        {
            assert!(!is_selector(text), "{text}");
        }
    }
}
