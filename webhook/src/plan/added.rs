//! What is added to pods, as it is written there.

use serde::Serialize;
use serde_json::Value;

use crate::config::PullPolicy;

/// A volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedVolume {
    /// Its name.
    pub name: &'static str,
    /// An empty folder,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
    /// what the API knows of the pod,
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<DownwardApi>,
    /// or the files of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
}

/// `emptyDir`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// Whoever fills it beyond this is evicted, not the node.
    pub size_limit: &'static str,
}

/// `downwardAPI`: one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DownwardApi {
    items: [DownwardFile; 1],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct DownwardFile {
    path: &'static str,
    field_ref: FieldRef,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldRef {
    field_path: &'static str,
}

/// An environment variable whose value is a field of the pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedVariable {
    /// Its name.
    pub name: &'static str,
    value_from: FieldSource,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldSource {
    field_ref: FieldRef,
}

/// `image` of a volume.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The image.
    pub reference: String,
    /// When it is pulled.
    pub pull_policy: PullPolicy,
}

/// A mount of one of the volumes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedMount {
    /// The volume.
    pub name: &'static str,
    /// Where it appears.
    pub mount_path: &'static str,
    /// Nobody may write to it here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A Secret images are pulled with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddedPullSecret {
    /// Its name.
    pub name: String,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedContainer {
    /// Its name.
    pub name: &'static str,
    /// The wrapper's image.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: PullPolicy,
    /// What it runs.
    pub command: Vec<String>,
    /// What it is told of the pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<AddedVariable>,
    /// As little as keeps what holds for the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    /// Pod Security `restricted`.
    pub security_context: SecurityContext,
    /// Its log says what went wrong.
    pub termination_message_policy: &'static str,
    /// What it needs, and nothing in the place of the token.
    pub volume_mounts: Vec<AddedMount>,
}

/// `securityContext` of a container, as Pod Security `restricted` asks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    allow_privilege_escalation: bool,
    capabilities: Capabilities,
    read_only_root_filesystem: bool,
    run_as_non_root: bool,
    seccomp_profile: SeccompProfile,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_as_user: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Capabilities {
    drop: [&'static str; 1],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct SeccompProfile {
    r#type: &'static str,
}

impl AddedVolume {
    /// An empty folder of that size.
    pub(super) fn empty(name: &'static str, size_limit: &'static str) -> Self {
        Self { name, empty_dir: Some(EmptyDir { size_limit }), downward_api: None, image: None }
    }

    /// The files of an image.
    pub(super) fn of_image(name: &'static str, image: Image) -> Self {
        Self { name, empty_dir: None, downward_api: None, image: Some(image) }
    }

    /// A folder with this field of the pod in this file.
    pub(super) fn of_field(name: &'static str, path: &'static str, field_path: &'static str) -> Self {
        let items = [DownwardFile { path, field_ref: FieldRef { field_path } }];
        Self { name, empty_dir: None, downward_api: Some(DownwardApi { items }), image: None }
    }
}

impl AddedVariable {
    /// With the value of this field of the pod.
    pub(super) fn of_field(name: &'static str, field_path: &'static str) -> Self {
        Self { name, value_from: FieldSource { field_ref: FieldRef { field_path } } }
    }
}

impl SecurityContext {
    /// Everything taken away, as this user; the image's own where none is given.
    pub(super) fn restricted(run_as_user: Option<i64>) -> Self {
        Self {
            allow_privilege_escalation: false,
            capabilities: Capabilities { drop: ["ALL"] },
            read_only_root_filesystem: true,
            run_as_non_root: true,
            seccomp_profile: SeccompProfile { r#type: "RuntimeDefault" },
            run_as_user,
        }
    }
}
