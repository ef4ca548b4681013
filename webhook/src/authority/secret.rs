//! The Secret the CA is kept in.

use curfew_certs::Authority;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

/// Marks the Secret as ours.
pub(super) const LABEL: &str = "curfew.dev/authority";
/// Set on it, by hand or by `kubectl annotate`, it asks for another CA.
const ROTATE: &str = "curfew.dev/rotate";

/// What was seen of it.
#[derive(Debug)]
pub(super) enum Content {
    Absent,
    /// Somebody else's, by its label.
    Foreign,
    Broken {
        metadata: Box<ObjectMeta>,
        why: String,
    },
    Held {
        metadata: Box<ObjectMeta>,
        authority: Box<Authority>,
        asked: bool,
    },
}

// === impl Content ===

impl Content {
    pub(super) fn of(secret: Option<Secret>) -> Self {
        let Some(Secret { metadata, data, .. }) = secret else { return Self::Absent };
        if !metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL)) {
            return Self::Foreign;
        }
        let asked = metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(ROTATE));
        let metadata = Box::new(metadata);
        let fields = data.unwrap_or_default().into_iter().map(|(name, ByteString(bytes))| (name, bytes));
        match Authority::read(&fields.collect()) {
            Ok(authority) => Self::Held { metadata, authority: Box::new(authority), asked },
            Err(broken) => Self::Broken { metadata, why: broken.to_string() },
        }
    }

    /// Of the object, where one is ours.
    pub(super) fn metadata(&self) -> Option<&ObjectMeta> {
        match self {
            Self::Absent | Self::Foreign => None,
            Self::Broken { metadata, .. } | Self::Held { metadata, .. } => Some(metadata),
        }
    }

    pub(super) fn asks_for_another(&self) -> bool {
        matches!(self, Self::Held { asked: true, .. })
    }
}

/// The Secret that holds `authority`, to be written over the one of which this was seen. Whatever else others have put
/// on that one stays.
pub(super) fn holding(authority: &Authority, name: &str, seen: Option<&ObjectMeta>, asked: bool) -> Secret {
    let data = authority.write().into_iter().map(|(name, bytes)| (name, ByteString(bytes)));
    let mut metadata = seen.cloned().unwrap_or_default();
    metadata.managed_fields = None;
    metadata.name = Some(name.to_owned());
    let labels = metadata.labels.get_or_insert_default();
    for (key, value) in [(LABEL, "true"), ("app.kubernetes.io/name", "curfew")] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    if !asked && let Some(annotations) = &mut metadata.annotations {
        annotations.remove(ROTATE);
    }
    Secret { metadata, data: Some(data.collect()), type_: Some("Opaque".to_owned()), ..Secret::default() }
}
