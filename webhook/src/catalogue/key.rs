//! Names the API server takes, so that a row never has a pod refused.

/// `[PREFIX/]NAME`, as the API server takes it.
pub(super) fn is_annotation_key(key: &str) -> bool {
    let ends_well = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let name_chars = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let prefix_chars = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    (1..=63).contains(&name.len())
        && ends_well(name)
        && name.chars().all(name_chars)
        && prefix
            .is_none_or(|prefix| prefix.len() <= 253 && ends_well(prefix) && prefix.chars().all(prefix_chars))
}

/// What every version of Kubernetes takes; newer ones take more.
pub(super) fn is_env_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(allowed)
}
