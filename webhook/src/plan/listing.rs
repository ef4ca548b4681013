//! What a mesh is told of a conversion: annotations its injector reads.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Found, prepare::Own};
use crate::{catalogue::Native, pod::Pod};

/// Sets the mesh's own switch for native sidecars.
///
/// # Errors
/// The user has set it to something else: names the annotation and the mend.
pub(super) fn switch(
    own: Own<'_>,
    found: &Found<'_>,
    annotations: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    if let Some((key, own, value)) = own.refuses_switch(found.row) {
        let name = &found.container.name;
        return Err(format!("{key} is `{own}`, so {name} is to stay as it is; set it to `{value}`"));
    }
    for (key, value) in found.row.switch.iter().filter(|(key, _)| own.value(found.row, key).is_none()) {
        annotations.insert(key.clone(), value.clone());
    }
    Ok(())
}

/// Moves the sidecar's name in the injector's own list from `containers` to `initContainers`. A text that is no such
/// list stays as it is.
pub(super) fn relist(
    pod: &Pod<'_>,
    found: &Found<'_>,
    row: &Native,
    annotations: &mut BTreeMap<String, String>,
) {
    let Some(key) = &row.listed_in else { return };
    let text = annotations.get(key).map(String::as_str).or_else(|| pod.metadata.annotation(key));
    if let Some(text) = text.and_then(|text| relisted(text, &found.container.name)) {
        annotations.insert(key.clone(), text);
    }
}

fn relisted(text: &str, name: &str) -> Option<String> {
    let mut lists: Value = serde_json::from_str(text).ok()?;
    let containers = lists.get_mut("containers")?.as_array_mut()?;
    let place = containers.iter().position(|item| item == name)?;
    containers.remove(place);
    if containers.is_empty() {
        // As Go writes a list with nothing in it.
        lists["containers"] = Value::Null;
    }
    match lists.get_mut("initContainers") {
        Some(Value::Array(list)) => list.push(name.into()),
        Some(Value::Null) | None => lists["initContainers"] = Value::Array(vec![name.into()]),
        Some(_) => return None,
    }
    Some(lists.to_string())
}

#[cfg(test)]
mod tests {
    use super::relisted;

    #[test]
    fn the_name_changes_lists_and_all_else_stays_in_its_order() {
        let before = r#"{"initContainers":["istio-init"],"containers":["istio-proxy"],"volumes":["a"],"imagePullSecrets":null,"revision":"default"}"#;
        let after = r#"{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["a"],"imagePullSecrets":null,"revision":"default"}"#;
        assert_eq!(relisted(before, "istio-proxy").as_deref(), Some(after));
        assert_eq!(relisted(after, "istio-proxy"), None);
        let absent = r#"{"containers":["a","b"],"initContainers":null}"#;
        assert_eq!(relisted(absent, "a").as_deref(), Some(r#"{"containers":["b"],"initContainers":["a"]}"#));
    }

    #[test]
    fn what_is_no_list_stays() {
        for text in [
            "",
            "[]",
            "{}",
            "\"istio-proxy\"",
            r#"{"containers":"a"}"#,
            r#"{"containers":["a"],"initContainers":1}"#,
        ] {
            assert_eq!(relisted(text, "a"), None, "{text}");
        }
    }
}
