//! Where the script lies, and what that adds to pods and commands.

use anyhow::bail;
use serde_json::{Value, json};

use crate::spec::ScriptSpec;

/// Ends the container when a localFile is not in the image; otherwise becomes what follows the file's name.
const LOCAL_FILE_CHECK: &str = r#"if [ ! -f "$1" ]; then
  echo "LocalFile not found exiting..."
  exit 1
fi
shift
exec "$@""#;

/// A script: one of three kinds of places, the first that is set.
#[derive(Debug, PartialEq)]
pub(crate) struct Script {
    place: Place,
    /// The folder, with the slash at its end.
    path: String,
    pub(crate) file: String,
}

#[derive(Debug, PartialEq)]
enum Place {
    Claim { name: String, read_only: bool },
    ConfigMap(String),
    Image,
}

// === impl Script ===

impl Script {
    pub(crate) fn read(spec: &ScriptSpec) -> anyhow::Result<Self> {
        let or_test_js = |file: &str| if file.is_empty() { "test.js" } else { file }.to_owned();
        let (claim, map) = (&spec.volume_claim, &spec.config_map);
        if !claim.name.is_empty() {
            // Only an absolute path moves the mount; `readOnly` is forgotten without a file. Both as the original.
            let (path, file) = split(&claim.file);
            let (path, file) = if path.starts_with('/') { (path, file) } else { ("/test/", &*claim.file) };
            let read_only = claim.read_only && !claim.file.is_empty();
            let place = Place::Claim { name: claim.name.clone(), read_only };
            return Ok(Self { place, path: path.to_owned(), file: or_test_js(file) });
        }
        if !map.name.is_empty() {
            let place = Place::ConfigMap(map.name.clone());
            return Ok(Self { place, path: "/test/".to_owned(), file: or_test_js(&map.file) });
        }
        if !spec.local_file.is_empty() {
            let (path, file) = split(&spec.local_file);
            return Ok(Self { place: Place::Image, path: path.to_owned(), file: file.to_owned() });
        }
        bail!("script definition should contain one of: ConfigMap, VolumeClaim, LocalFile")
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}{}", self.path, self.file)
    }

    /// The volume it lies on, if any.
    pub(crate) fn volumes(&self) -> Vec<Value> {
        match &self.place {
            Place::Claim { name, .. } => {
                vec![json!({"name": "k6-test-volume", "persistentVolumeClaim": {"claimName": name}})]
            }
            Place::ConfigMap(name) => vec![json!({"name": "k6-test-volume", "configMap": {"name": name}})],
            Place::Image => Vec::new(),
        }
    }

    /// Where that volume is mounted, in containers and init containers.
    pub(crate) fn mounts(&self) -> Vec<Value> {
        match &self.place {
            Place::Claim { read_only: true, .. } => {
                vec![json!({"name": "k6-test-volume", "mountPath": self.path, "readOnly": true})]
            }
            Place::Claim { .. } => vec![json!({"name": "k6-test-volume", "mountPath": self.path})],
            Place::ConfigMap(_) => {
                vec![json!({"name": "k6-test-volume", "mountPath": "/test", "readOnly": true})]
            }
            Place::Image => Vec::new(),
        }
    }

    /// The runner's command, behind a look whether a localFile is there. `in_shell` is for `spec.arguments`, which may
    /// hold quotes; `spec.args` are words already.
    pub(crate) fn guard(&self, command: Vec<String>, in_shell: bool) -> Vec<String> {
        if self.place != Place::Image {
            return command;
        }
        let command =
            if in_shell { vec!["sh".to_owned(), "-c".to_owned(), command.join(" ")] } else { command };
        let check = ["sh", "-c", LOCAL_FILE_CHECK, "sh"].map(str::to_owned);
        check.into_iter().chain([self.full_name()]).chain(command).collect()
    }
}

/// Go's `filepath.Split`: the folder keeps its slash.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(spec: Value) -> Script {
        Script::read(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    #[test]
    fn a_config_map_is_mounted_read_only_at_test() {
        let script = script(json!({"configMap": {"name": "scripts"}}));
        assert_eq!(script.full_name(), "/test/test.js");
        assert_eq!(
            script.mounts(),
            [json!({"name": "k6-test-volume", "mountPath": "/test", "readOnly": true})]
        );
        assert_eq!(script.volumes(), [json!({"name": "k6-test-volume", "configMap": {"name": "scripts"}})]);
    }

    #[test]
    fn a_relative_file_on_a_volume_lies_under_test_and_an_absolute_one_moves_the_mount() {
        let relative = script(json!({"volumeClaim": {"name": "pvc", "file": "sub/a.js"}}));
        assert_eq!(relative.full_name(), "/test/sub/a.js");
        assert_eq!(relative.mounts(), [json!({"name": "k6-test-volume", "mountPath": "/test/"})]);
        let absolute =
            script(json!({"volumeClaim": {"name": "pvc", "file": "/data/a.js", "readOnly": true}}));
        assert_eq!(
            absolute.mounts(),
            [json!({"name": "k6-test-volume", "mountPath": "/data/", "readOnly": true})]
        );
    }

    #[test]
    fn the_volume_claim_wins_over_the_config_map_and_the_config_map_over_the_local_file() {
        let both = json!({"volumeClaim": {"name": "pvc"}, "configMap": {"name": "m"}, "localFile": "/a.js"});
        assert!(matches!(script(both).place, Place::Claim { .. }));
        assert!(matches!(
            script(json!({"configMap": {"name": "m"}, "localFile": "/a.js"})).place,
            Place::ConfigMap(_)
        ));
        assert!(Script::read(&ScriptSpec::default()).is_err());
    }

    #[test]
    fn a_local_file_is_looked_for_before_k6_runs() {
        let local = script(json!({"localFile": "/test/local.js"}));
        let command = || vec!["k6".to_owned(), "run".to_owned()];
        let guarded = local.guard(command(), false);
        assert_eq!(guarded[3..], ["sh", "/test/local.js", "k6", "run"]);
        let guarded = local.guard(command(), true);
        assert_eq!(guarded[3..], ["sh", "/test/local.js", "sh", "-c", "k6 run"]);
    }
}
