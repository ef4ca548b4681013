//! The no-op image: a program that exits with 0, at every path a sidecar may be started by.

use crate::{catalogue::repository, pod::Container};

/// The last part of its repository, in any registry.
const NAME: &str = "curfew-noop";

/// Where the image has the program, one path a line; `manifests/images/build.sh` reads the same file.
const PATHS: &str = include_str!("../../../manifests/images/noop-paths.txt");

/// What a runtime looks through for a command without a slash, where neither image nor container sets `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The paths of the program in the image.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PATHS.lines().filter(|line| line.starts_with('/'))
}

/// Whether a container runs this image, or its copy in another registry.
pub fn is(image: &str) -> bool {
    repository(image).rsplit('/').next() == Some(NAME)
}

/// The image a sidecar's own is swapped for, from where the reaper's comes and of its tag: who mirrors one has to mirror
/// both. A digest is of one image only, so where there is no tag the version is this program's.
pub fn beside(reaper: &str) -> String {
    let repository = repository(reaper);
    let registry = repository.rfind('/').map_or("", |slash| &repository[..=slash]);
    let reference = reaper.split_once('@').map_or(reaper, |(reference, _digest)| reference);
    let tag = reference[repository.len()..].strip_prefix(':').unwrap_or(env!("CARGO_PKG_VERSION"));
    format!("{registry}{NAME}:{tag}")
}

/// Whether a container would exit with 0 with its image swapped.
///
/// # Errors
/// Its own command is none the image has.
pub fn answers_for(container: &Container<'_>) -> Result<(), String> {
    // Without a command the image's own entrypoint runs, whatever the arguments are.
    let Some(command) = container.command.first().map(|command| &**command) else { return Ok(()) };
    let found = if command.contains('/') {
        paths().any(|path| path == command)
    } else {
        let search = container.env_value("PATH").unwrap_or(PATH);
        paths().any(|path| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            name == command && search.split(':').any(|searched| searched == folder)
        })
    };
    found
        .then_some(())
        .ok_or_else(|| format!("its command {} is not in the no-op image", command.escape_debug()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{catalogue::Catalogue, pod::Pod};

    fn answers(container: Value) -> Result<(), String> {
        let mut container = container;
        container["name"] = json!("sidecar");
        let raw = json!({"spec": {"containers": [container]}}).to_string();
        let pod = Pod::read(&raw).expect("a pod");
        answers_for(&pod.spec.containers[0])
    }

    #[test]
    fn every_command_the_catalogue_names_is_in_the_image() {
        let catalogue = Catalogue::embedded().expect("rows");
        for row in &catalogue.sidecars {
            for command in &row.commands {
                assert_eq!(answers(json!({"command": [command]})), Ok(()), "{}", row.name);
            }
        }
    }

    #[test]
    fn so_is_what_the_reaper_is_started_by() {
        for command in ["/curfew-reaper", crate::plan::REAPER] {
            assert_eq!(answers(json!({"command": [command, "reap"]})), Ok(()));
        }
    }

    #[test]
    fn paths_are_absolute_and_none_is_there_twice_or_within_another() {
        let all: Vec<_> = paths().collect();
        for (index, path) in all.iter().enumerate() {
            assert!(!path.ends_with('/') && !path.contains("//") && !path.contains(' '), "{path}");
            for other in &all[index + 1..] {
                assert_ne!(path, other);
                assert!(!other.starts_with(&format!("{path}/")), "{other} is within {path}");
                assert!(!path.starts_with(&format!("{other}/")), "{path} is within {other}");
            }
        }
        let other_lines = PATHS.lines().filter(|line| !line.starts_with('/'));
        assert!(other_lines.into_iter().all(|line| line.starts_with('#')));
    }

    #[test]
    fn without_a_command_the_entrypoint_answers() {
        assert_eq!(answers(json!({"args": ["proxy", "sidecar"]})), Ok(()));
    }

    #[test]
    fn a_command_is_looked_for_as_the_runtime_does() {
        assert_eq!(answers(json!({"command": ["/bin/sh", "-c", "exec vault agent"]})), Ok(()));
        assert_eq!(answers(json!({"command": ["envoy"]})), Ok(()));
        let own_path = json!({"command": ["envoy"], "env": [{"name": "PATH", "value": "/opt/bin"}]});
        assert_eq!(answers(own_path), Err("its command envoy is not in the no-op image".to_owned()));
        let unknown = answers(json!({"command": ["/opt/proxy"]}));
        assert_eq!(unknown, Err("its command /opt/proxy is not in the no-op image".to_owned()));
    }

    #[test]
    fn it_comes_from_where_the_reapers_image_does() {
        let own = env!("CARGO_PKG_VERSION");
        let of_this_version = |registry: &str| format!("{registry}curfew-noop:{own}");
        for (reaper, noop) in [
            (crate::config::Reaper::default().image, of_this_version("ghcr.io/curfew-dev/")),
            (
                "r.example:5000/mirror/curfew-reaper:2".to_owned(),
                "r.example:5000/mirror/curfew-noop:2".to_owned(),
            ),
            ("r.example/curfew-reaper:2@sha256:00".to_owned(), "r.example/curfew-noop:2".to_owned()),
            ("r.example:5000/curfew-reaper@sha256:00".to_owned(), of_this_version("r.example:5000/")),
            ("r.example/a/renamed".to_owned(), of_this_version("r.example/a/")),
            ("curfew-reaper:2".to_owned(), "curfew-noop:2".to_owned()),
        ] {
            assert_eq!(beside(&reaper), noop, "{reaper}");
            assert!(is(&noop));
        }
    }

    #[test]
    fn the_image_is_known_by_its_name_in_any_registry() {
        assert!(is("ghcr.io/curfew-dev/curfew-noop:1") && is("r.example:5000/mirror/curfew-noop@sha256:00"));
        assert!(!is("r.example/not-curfew-noop:1") && !is("curfew-noop/proxy"));
    }
}
