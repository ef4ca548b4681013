//! Values, their schema and their table say the same.

use std::{collections::BTreeSet, fs};

use curfew_chart::chart;
use serde_json::Value;

fn file(name: &str) -> String {
    fs::read_to_string(chart().join(name)).unwrap()
}

/// Places of the values, as far down as the schema fixes names.
fn places(values: &Value, schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    match (values, schema.get("properties").and_then(Value::as_object)) {
        (Value::Object(members), Some(properties)) if !members.is_empty() => {
            for (name, value) in members {
                let place = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                let schema = properties.get(name).unwrap_or_else(|| panic!("{place} is in no schema"));
                places(value, schema, &place, found);
            }
        }
        _ => drop(found.insert(prefix.to_owned())),
    }
}

#[test]
fn the_table_names_every_value() {
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    let mut all = BTreeSet::new();
    places(&values, &schema, "", &mut all);
    assert!(all.len() > 50, "{all:?}");
    let readme = file("README.md");
    let named = |place: &str| {
        // A row may stand for all that lies below it.
        let parents = place.match_indices('.').map(|(at, _)| &place[..at]);
        parents.chain([place]).any(|name| readme.contains(&format!("| `{name}` |")))
    };
    let missing: Vec<_> = all.iter().filter(|place| !named(place)).collect();
    assert!(missing.is_empty(), "README.md has no row for {missing:?}");
    for row in readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")) {
        let is = all.iter().any(|place| *place == row.0 || place.starts_with(&format!("{}.", row.0)));
        assert!(is, "README.md has a row for {}, which is no value", row.0);
    }
}

#[test]
fn every_value_of_the_schema_has_a_default() {
    let values: Value = serde_saphyr::from_str(&file("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&file("values.schema.json")).unwrap();
    for name in schema["properties"].as_object().unwrap().keys().filter(|name| *name != "global") {
        assert!(values.get(name).is_some(), "{name}");
    }
}
