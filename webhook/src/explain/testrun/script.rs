//! Where the script of a TestRun is, and what that adds to a pod.

use serde_json::{Value, json};

use crate::explain::containers::text;

/// A script, in the first of three places that the TestRun names.
#[derive(Debug)]
pub(super) struct Script {
    /// As k6 is told of it.
    pub(super) file: String,
    /// The volume it is on, and its mount; none where it is in the image.
    pub(super) volume: Option<(Value, Value)>,
}

// === impl Script ===

impl Script {
    pub(super) fn of(run: &Value) -> Self {
        let place = &run["spec"]["script"];
        let or_test = |file: &str| if file.is_empty() { "test.js".to_owned() } else { file.to_owned() };
        let on = |source: Value, mount: Value, file: String| {
            let volume = with(source, "name", "k6-test-volume");
            Self { file, volume: Some((volume, with(mount, "name", "k6-test-volume"))) }
        };
        let claim = text(place, "/volumeClaim/name");
        if !claim.is_empty() {
            let file = text(place, "/volumeClaim/file");
            // An absolute path moves the mount.
            let (folder, file) = match file.rfind('/') {
                Some(slash) if file.starts_with('/') => file.split_at(slash + 1),
                _ => ("/test/", file),
            };
            let mount = json!({"mountPath": folder, "readOnly": place["volumeClaim"]["readOnly"] == true});
            let source = json!({"persistentVolumeClaim": {"claimName": claim}});
            return on(source, mount, format!("{folder}{}", or_test(file)));
        }
        let (map, local) = (text(place, "/configMap/name"), text(place, "/localFile"));
        if map.is_empty() && !local.is_empty() {
            return Self { file: local.to_owned(), volume: None };
        }
        let mount = json!({"mountPath": "/test", "readOnly": true});
        let file = format!("/test/{}", or_test(text(place, "/configMap/file")));
        on(json!({"configMap": {"name": map}}), mount, file)
    }
}

fn with(mut object: Value, key: &str, value: &str) -> Value {
    object[key] = Value::from(value);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(place: Value) -> (String, Value) {
        let script = Script::of(&json!({"spec": {"script": place}}));
        (
            script.file,
            script.volume.map_or(Value::Null, |(volume, mount)| json!([volume, mount["mountPath"]])),
        )
    }

    #[test]
    fn it_is_on_a_claim_or_in_a_config_map_or_in_the_image_whichever_is_named_first() {
        let (claim, map) = (json!({"name": "c", "file": "a.js"}), json!({"name": "m"}));
        let on_claim = json!({"name": "k6-test-volume", "persistentVolumeClaim": {"claimName": "c"}});
        let in_map = json!({"name": "k6-test-volume", "configMap": {"name": "m"}});
        let all = json!({"volumeClaim": claim, "configMap": map, "localFile": "/x.js"});
        assert_eq!(script(all), ("/test/a.js".to_owned(), json!([on_claim, "/test/"])));
        let both = json!({"configMap": map, "localFile": "/x.js"});
        assert_eq!(script(both), ("/test/test.js".to_owned(), json!([in_map, "/test"])));
        assert_eq!(script(json!({"localFile": "/x.js"})), ("/x.js".to_owned(), Value::Null));
    }

    #[test]
    fn an_absolute_path_on_a_claim_moves_the_mount() {
        let (file, volume) = script(json!({"volumeClaim": {"name": "c", "file": "/data/a.js"}}));
        assert_eq!((file.as_str(), &volume[1]), ("/data/a.js", &json!("/data/")));
    }
}
