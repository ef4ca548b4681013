//! How the wrapper comes into the pod, and with which rights.

use serde::Serialize;
use serde_json::Value;

use super::{
    added::{AddedContainer, AddedMount, AddedVolume, Image, SecurityContext},
    gate, resources,
};
use crate::{
    config::{Delivery, Settings},
    pod::{Container, Pod, Volume, VolumeMount},
};

/// Where mains find the wrapper.
pub const BIN_DIR: &str = "/.curfew/bin";
/// The wrapper, as commands name it.
pub const REAPER: &str = "/.curfew/bin/curfew-reaper";
/// Where wrappers of one pod tell each other that they are done.
pub const RUN_DIR: &str = "/.curfew/run";
/// Volume behind [`BIN_DIR`].
pub const BIN_VOLUME: &str = "curfew-bin";
/// Volume behind [`RUN_DIR`].
pub const RUN_VOLUME: &str = "curfew-run";
/// Empty volume that keeps the ServiceAccount's token out of what Curfew adds.
pub const TOKEN_VOLUME: &str = "curfew-no-token";
/// Init container that copies the wrapper.
pub const INSTALLER: &str = "curfew-install";

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A size of its own is what tells that volume from another of the name.
const TOKEN_SIZE: &str = "1Mi";
/// Where the image holds the binary.
pub(super) const IN_IMAGE: &str = "/curfew-reaper";
/// Any but 0; the image's own user is the same.
const USER: i64 = 65532;

/// What is added to the pod so that the wrapper is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Volumes.
    pub volumes: Vec<AddedVolume>,
    /// The init container that copies it; absent where an image volume brings it.
    pub init_container: Option<AddedContainer>,
}

/// Plans the delivery. `shared`: mains need a common folder.
pub(super) fn install(
    pod: &Pod<'_>,
    mains: &[(usize, &Container<'_>)],
    shared: bool,
    settings: &Settings,
) -> Install {
    let reaper = &settings.reaper;
    let mut volumes = Vec::new();
    let init_container = match reaper.delivery {
        Delivery::ImageVolume => {
            let image = Image { reference: reaper.image.clone(), pull_policy: reaper.image_pull_policy };
            volumes.push(AddedVolume::of_image(BIN_VOLUME, image));
            None
        }
        Delivery::InitContainer => {
            // The binary is under half a MiB.
            volumes.push(AddedVolume::empty(BIN_VOLUME, "2Mi"));
            volumes.push(no_token());
            Some(installer(pod, mains, settings))
        }
    };
    if shared {
        volumes.push(AddedVolume::empty(RUN_VOLUME, "1Mi"));
    }
    Install { volumes, init_container }
}

/// Mounts a main needs.
pub(super) fn mounts(shared: bool) -> Vec<AddedMount> {
    let mut mounts = vec![AddedMount { name: BIN_VOLUME, mount_path: BIN_DIR, read_only: true }];
    if shared {
        mounts.push(AddedMount { name: RUN_VOLUME, mount_path: RUN_DIR, read_only: false });
    }
    mounts
}

/// Why the wrapper cannot come into the pod, if so: something else stands in its place.
pub(super) fn conflict(pod: &Pod<'_>, mains: &[(usize, &Container<'_>)]) -> Option<String> {
    let mounts =
        mains.iter().flat_map(|(_, main)| main.volume_mounts.iter().map(move |mount| (&main.name, mount)));
    let own_mount = |mount: &VolumeMount<'_>| [BIN_VOLUME, RUN_VOLUME].contains(&&*mount.name);
    if let Some((main, mount)) =
        mounts.into_iter().find(|(_, m)| !own_mount(m) && is_in_the_way(&m.mount_path))
    {
        return Some(format!("container {main} has mounted its own volume at {}; move it", mount.mount_path));
    }
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let namesake = |container: &&Container<'_>| container.name == INSTALLER && !is_installer(container);
    if containers.into_iter().any(|container| namesake(&container)) {
        return Some(format!("container name {INSTALLER} is taken; rename it"));
    }
    let is_taken = |v: &&Volume<'_>| [BIN_VOLUME, RUN_VOLUME].contains(&&*v.name) || takes_no_token(v);
    let taken = pod.spec.volumes.iter().find(is_taken);
    taken
        .filter(|_| !has_been_here(pod))
        .map(|volume| format!("volume name {} is taken; rename it", volume.name))
}

/// A volume has the name of the one in the place of the token, and is another.
pub(super) fn takes_no_token(volume: &Volume<'_>) -> bool {
    let empty = volume.empty_dir.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    volume.name == TOKEN_VOLUME && empty.is_none_or(|empty| empty["sizeLimit"] != TOKEN_SIZE)
}

/// An earlier pass has left something in the pod, so volumes of these names are its own.
pub(super) fn has_been_here(pod: &Pod<'_>) -> bool {
    let is_wrapped = |main: &Container<'_>| main.command.first().is_some_and(|word| *word == REAPER);
    pod.spec.init_containers.iter().any(|c| is_installer(c) || gate::is_gate(c))
        || pod.spec.containers.iter().any(is_wrapped)
}

/// At, above or below the folders Curfew mounts.
fn is_in_the_way(path: &str) -> bool {
    let parts = path.split('/').filter(|part| !["", "."].contains(part));
    parts.into_iter().next() == Some(".curfew")
}

pub(super) fn is_installer(container: &Container<'_>) -> bool {
    container.command == [IN_IMAGE, "install", BIN_DIR]
}

fn installer(pod: &Pod<'_>, mains: &[(usize, &Container<'_>)], settings: &Settings) -> AddedContainer {
    let command = [IN_IMAGE, "install", BIN_DIR].map(str::to_owned).into();
    let mut installer =
        container(INSTALLER, command, resources::of_largest(pod, mains, settings), pod, settings);
    let bin = AddedMount { name: BIN_VOLUME, mount_path: BIN_DIR, read_only: false };
    installer.volume_mounts.insert(0, bin);
    installer
}

/// A container of the wrapper's image, with nothing but the right to run.
pub(super) fn container(
    name: &'static str,
    command: Vec<String>,
    resources: Option<Value>,
    pod: &Pod<'_>,
    settings: &Settings,
) -> AddedContainer {
    // The user is the image's own (OpenShift assigns one), unless the pod forces root on it.
    let root = pod.spec.security_context.run_as_user == Some(0);
    AddedContainer {
        name,
        image: settings.reaper.image.clone(),
        image_pull_policy: settings.reaper.image_pull_policy,
        command,
        env: Vec::new(),
        resources,
        security_context: SecurityContext::restricted(root.then_some(USER)),
        termination_message_policy: "FallbackToLogsOnError",
        // The API server mounts a token wherever nothing is mounted yet.
        volume_mounts: vec![AddedMount { name: TOKEN_VOLUME, mount_path: TOKEN_PATH, read_only: true }],
    }
}

/// The volume in the place of the token.
pub(super) fn no_token() -> AddedVolume {
    AddedVolume::empty(TOKEN_VOLUME, TOKEN_SIZE)
}
