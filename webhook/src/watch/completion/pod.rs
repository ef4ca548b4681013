//! Pods of which only a glimpse is kept, and that can always be read.

use std::{borrow::Cow, fmt};

use k8s_openapi::{NamespaceResourceScope, api::core::v1, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A pod, of which only its identity and what `T` makes of it is kept. Whatever is wrong with it, it can be read: a
/// list with one such pod in it would otherwise be lost whole.
#[derive(Clone, Debug)]
pub(super) struct Pod<T> {
    metadata: ObjectMeta,
    pub(super) seen: T,
}

/// What is made of a pod's JSON as it is read.
pub(super) trait Glimpse: Clone + fmt::Debug + Send + 'static {
    fn of(json: &str) -> Self;
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(deserialize_with = "lenient")]
    metadata: Identity,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    #[serde(deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    namespace: Option<String>,
    #[serde(deserialize_with = "lenient")]
    uid: Option<String>,
    #[serde(deserialize_with = "lenient")]
    resource_version: Option<String>,
}

// === impl Pod ===

impl<T> Pod<T> {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }
}

impl<'de, T: Glimpse> Deserialize<'de> for Pod<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let Wire { metadata } = serde_json::from_str(raw.get()).unwrap_or_default();
        let Identity { name, namespace, uid, resource_version } = metadata;
        let metadata = ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() };
        Ok(Self { metadata, seen: T::of(raw.get()) })
    }
}

impl<T> Resource for Pod<T> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        v1::Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        v1::Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        v1::Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        v1::Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A value of another type reads as none.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + for<'any> Deserialize<'any>,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};
    use serde_json::json;

    use super::*;

    impl Glimpse for usize {
        fn of(json: &str) -> Self {
            json.len()
        }
    }

    #[test]
    fn one_pod_that_is_none_costs_no_list_and_no_watch() {
        let pods = [
            json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1"}}),
            json!({"metadata": {"name": ["b"], "uid": 7, "resourceVersion": "2", "labels": 3}, "spec": "none"}),
            json!({"metadata": []}),
            json!(17),
            json!(null),
        ];
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"},
                          "items": pods})
        .to_string();
        let list: ObjectList<Pod<usize>> = serde_json::from_str(&list).expect("a list");
        let read: Vec<_> = list.items.iter().map(|pod| (pod.name(), pod.namespace(), pod.uid())).collect();
        assert_eq!(read, [("a", "n", "u"), ("", "", ""), ("", "", ""), ("", "", ""), ("", "", "")]);
        assert_eq!(list.items[1].metadata.resource_version.as_deref(), Some("2"));
        for pod in pods {
            let event = json!({"type": "MODIFIED", "object": pod}).to_string();
            let event: WatchEvent<Pod<usize>> = serde_json::from_str(&event).expect("an event");
            assert!(matches!(event, WatchEvent::Modified(read) if read.seen == pod.to_string().len()));
        }
    }
}
