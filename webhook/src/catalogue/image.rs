//! Image references, as far as rows are told by them.

/// The repository of an image reference: without tag and digest.
pub fn repository(reference: &str) -> &str {
    let reference = reference.split_once('@').map_or(reference, |(name, _digest)| name);
    match reference.rsplit_once(':') {
        // A colon before the last slash belongs to the registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

/// Whether a repository is `path` or ends with it on a whole segment, so that mirrors are recognised:
/// `registry.example/mirror/linkerd/proxy` is a `linkerd/proxy`.
pub(super) fn ends_with_path(reference: &str, path: &str) -> bool {
    repository(reference)
        .strip_suffix(path)
        .is_some_and(|registry| registry.is_empty() || registry.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{ends_with_path, repository};

    #[test]
    fn tag_digest_and_port_are_told_apart() {
        assert_eq!(
            repository("r.example:5000/linkerd/proxy:edge-1@sha256:00"),
            "r.example:5000/linkerd/proxy"
        );
        assert_eq!(repository("r.example:5000/linkerd/proxy"), "r.example:5000/linkerd/proxy");
        assert_eq!(repository("auto"), "auto");
    }

    #[test]
    fn mirrors_match_and_lookalikes_do_not() {
        assert!(ends_with_path("cr.l5d.io/linkerd/proxy:edge-26.8.3", "linkerd/proxy"));
        assert!(ends_with_path("r.example:5000/mirror/linkerd/proxy", "linkerd/proxy"));
        assert!(!ends_with_path("r.example/notlinkerd/proxy", "linkerd/proxy"));
        assert!(!ends_with_path("linkerd/proxy-init", "linkerd/proxy"));
    }
}
