//! The strategy `switch` without a webhook: a MutatingAdmissionPolicy, written from the catalogue.
//!
//! It does what the planner does before a mesh has injected, in CEL: the switches and graces of every row, where the
//! user has not set them.

use std::collections::BTreeMap;

use crate::config::Config;

/// The policy and its bindings but for what the configuration says. What is in «» no [`literal`] can hold.
const TEMPLATE: &str = include_str!("policy.yaml");

/// The policy and its bindings, as YAML.
pub fn manifest(config: &Config) -> String {
    let rows = &config.catalogue.sidecars;
    let graces = rows.iter().filter_map(|row| Some(&row.shutdown.as_ref()?.prefers.annotations));
    let settings: BTreeMap<_, _> = rows.iter().map(|row| &row.switch).chain(graces).flatten().collect();
    let settings = settings.iter().map(|(key, value)| format!("{}: {},", literal(key), literal(value)));
    let switches = rows.iter().filter(|row| !row.switch.is_empty()).map(|row| {
        let keys: Vec<_> = row.switch.keys().map(|key| literal(key)).collect();
        format!("[{}],", keys.join(", "))
    });
    let namespaced = rows.iter().filter(|row| row.reads_namespace).flat_map(|row| {
        let graces = row.shutdown.iter().flat_map(|shutdown| shutdown.prefers.annotations.keys());
        row.switch.keys().chain(graces).map(|key| literal(key))
    });
    let namespaced = format!("[{}]", namespaced.collect::<Vec<_>>().join(", "));
    TEMPLATE
        .replace("«namespaced»", &namespaced)
        .replace("«strategy»", &literal(config.settings.defaults.strategy.name()))
        .replace("«settings»", &lines(settings))
        .replace("«switches»", &lines(switches))
}

/// Lines at the depth of the template's place for them.
fn lines(each: impl Iterator<Item = String>) -> String {
    each.collect::<Vec<_>>().join("\n          ")
}

/// A string of CEL, of characters that stand for themselves in YAML.
fn literal(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        other => format!("\\U{:08x}", u32::from(other)),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn documents(config: &Config) -> Vec<Value> {
        serde_saphyr::from_multiple(&manifest(config)).expect("YAML")
    }

    fn variable(policy: &Value, name: &str) -> String {
        let variables = policy["spec"]["variables"].as_array().expect("variables");
        let found = variables.iter().find(|variable| variable["name"] == name).expect(name);
        found["expression"].as_str().expect(name).to_owned()
    }

    /// A list or map of CEL that is made of strings alone is JSON, once its last comma is gone.
    fn json(expression: &str) -> Value {
        let text = expression.replace(",\n]", "\n]").replace(",\n}", "\n}");
        serde_json::from_str(&text).expect("literals alone")
    }

    #[test]
    fn every_switch_and_grace_of_the_catalogue_is_in_it_and_nothing_else() {
        let config = Config::builtin().expect("built-in");
        let policy = &documents(&config)[0];
        let settings = json(&variable(policy, "settings"));
        let switches = json(&variable(policy, "switches"));
        let mut expected = BTreeMap::new();
        let mut switched = Vec::new();
        for row in &config.catalogue.sidecars {
            expected.extend(row.switch.clone());
            expected.extend(row.shutdown.iter().flat_map(|shutdown| shutdown.prefers.annotations.clone()));
            switched.extend((!row.switch.is_empty()).then(|| row.switch.keys().collect::<Vec<_>>()));
        }
        assert_eq!(settings, serde_json::json!(expected));
        assert_eq!(switches, serde_json::json!(switched));
        assert_eq!(settings["sidecar.istio.io/nativeSidecar"], "true");
        assert_eq!(settings["config.linkerd.io/shutdown-grace-period"], "5s");
        assert!(settings.get("config.linkerd.io/proxy-admin-shutdown").is_none(), "{settings}");
    }

    #[test]
    fn rows_and_the_strategy_of_the_configuration_hold() {
        let config = Config::parse(
            "defaults: {strategy: native}\ncatalogue:\n  sidecars:\n  - {name: own, containers: [own], \
             switch: {own.dev/native: 'a \"b\" \\ «switches»'}}",
            "f",
        )
        .expect("valid");
        let policy = &documents(&config)[0];
        assert!(variable(policy, "strategy").contains(".orValue(\"native\")"), "{policy}");
        let settings = variable(policy, "settings");
        assert!(
            settings.contains(r#""own.dev/native": "a \"b\" \\ \U000000abswitches\U000000bb","#),
            "{settings}"
        );
        assert!(variable(policy, "switches").contains(r#"["own.dev/native"],"#), "{policy}");
    }

    #[test]
    fn it_is_asked_about_the_pods_the_webhook_is_asked_about() {
        let webhook = include_str!("../../manifests/kustomize/base/webhook.yaml");
        let webhook: Value = serde_saphyr::from_str(webhook).expect("YAML");
        let documents = documents(&Config::builtin().expect("built-in"));
        let (policy, bindings) = (&documents[0]["spec"], &documents[1..]);
        let entries = webhook["webhooks"].as_array().expect("webhooks");
        assert_eq!(entries.len(), bindings.len());
        let excluded = policy["matchConstraints"]["namespaceSelector"]["matchExpressions"].clone();
        for (entry, binding) in entries.iter().zip(bindings) {
            let binding = &binding["spec"];
            assert_eq!(binding["policyName"], documents[0]["metadata"]["name"]);
            let mut namespaces = binding["matchResources"]["namespaceSelector"].clone();
            let both = namespaces["matchExpressions"].as_array_mut().expect("expressions");
            both.extend(excluded.as_array().expect("expressions").clone());
            assert_eq!(entry["namespaceSelector"], namespaces);
            assert_eq!(entry["objectSelector"], binding["matchResources"]["objectSelector"]);
            assert_eq!(entry["rules"], policy["matchConstraints"]["resourceRules"]);
        }
    }
}
