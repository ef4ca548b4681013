//! The machine the pods run on: programs, folders, addresses.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use super::{
    fake, fixtures,
    mesh::Mesh,
    place::Places,
    pod::{Container, Pod},
};

/// Programs that are real in a real run, and played by this one otherwise.
#[derive(Debug, Clone)]
pub struct Real {
    /// k6.
    pub k6: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
}

/// Where pods run.
#[derive(Debug)]
pub(super) struct Node {
    /// `curfew-reaper`, as it lies in its image.
    pub(super) reaper: PathBuf,
    /// `standin-proxy`.
    pub(super) standin: PathBuf,
    /// Real programs, in a real run.
    pub(super) real: Option<Real>,
    root: PathBuf,
    bin: PathBuf,
    next_address: AtomicU8,
}

/// A pod with its place on the node.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// The pod.
    pub(super) pod: Pod,
    /// Whose proxy it has.
    pub(super) mesh: Mesh,
    /// Its address, instead of a network namespace.
    pub(super) address: Ipv4Addr,
    /// Its folder, instead of file systems.
    pub(super) folder: PathBuf,
    /// When its proxy gets ready.
    pub(super) proxy_ready_after: Duration,
    /// Cluster addresses it may call.
    pub(super) services: Vec<(String, Ipv4Addr)>,
}

// === impl Node ===

impl Node {
    /// Prepares a node below `root`.
    ///
    /// # Errors
    /// When folders or links cannot be made.
    pub(super) fn new(
        reaper: PathBuf,
        standin: PathBuf,
        real: Option<Real>,
        root: PathBuf,
    ) -> io::Result<Self> {
        let bin = root.join("bin");
        fs::create_dir_all(&bin)?;
        match &real {
            Some(real) => symlink(&real.k6, bin.join("k6"))?,
            None => fake::install(&bin)?,
        }
        Ok(Self { reaper, standin, real, root, bin, next_address: AtomicU8::new(1) })
    }

    /// Gives a pod an address and a folder.
    pub(super) fn place(&self, pod: Pod, mesh: Mesh, variant: &str, proxy_ready_after: Duration) -> Placed {
        let folder = self.root.join(format!("{mesh}-{variant}").to_lowercase()).join(pod.job_name());
        let address = address(self.next_address.fetch_add(1, Ordering::Relaxed));
        Placed { pod, mesh, address, folder, proxy_ready_after, services: Vec::new() }
    }
}

/// An address in 127/8 that another demo on this machine is unlikely to use.
fn address(number: u8) -> Ipv4Addr {
    let [high, low] = [(process::id() / 200) % 200, process::id() % 200];
    Ipv4Addr::new(127, 20 + u8::try_from(high).unwrap_or(0), 1 + u8::try_from(low).unwrap_or(0), number)
}

// === impl Placed ===

impl Placed {
    /// The URL where its proxy says that it is ready.
    pub(super) fn ready_url(&self) -> String {
        format!("http://{}{}", self.address, self.mesh.ready())
    }

    /// A container's own folder.
    pub(super) fn container_folder(&self, container: &Container) -> PathBuf {
        self.folder.join("containers").join(&container.name)
    }

    /// What a container has written, stdout and stderr together.
    pub(super) fn log(&self, container: &Container) -> PathBuf {
        self.container_folder(container).join("log")
    }

    /// Makes its folders: volumes, ConfigMap files, each container's own.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn prepare(&self, node: &Node) -> io::Result<()> {
        for volume in &self.pod.spec.volumes {
            let folder = self.volume(&volume.name);
            fs::create_dir_all(&folder)?;
            let files = volume.config_map.as_ref().map_or(&[][..], |map| fixtures::config_map(&map.name));
            for (name, text) in files {
                fs::write(folder.join(name), self.network().apply(text))?;
            }
        }
        for container in self.pod.spec.init_containers.iter().chain(&self.pod.spec.containers) {
            fs::create_dir_all(self.container_folder(container).join("tmp"))?;
            // The kubelet makes it, empty, before the container starts.
            fs::write(self.container_folder(container).join("termination-log"), "")?;
        }
        fs::create_dir_all(&node.bin)
    }

    /// What stands for what in this container.
    pub(super) fn places(&self, container: &Container, node: &Node) -> Places {
        let mut places = self.network();
        let folder = self.container_folder(container);
        places.put("/tmp", text(&folder.join("tmp")));
        places.put("/usr/lib/linkerd/linkerd-await", text(&node.bin.join("linkerd-await")));
        places.put("/curfew-reaper", text(&node.reaper));
        if let Some(path) = &container.termination_message_path {
            places.put(path, text(&folder.join("termination-log")));
        }
        for mount in &container.volume_mounts {
            places.put(&mount.mount_path, text(&self.volume(&mount.name)));
        }
        places
    }

    /// A container's whole environment.
    pub(super) fn env(&self, container: &Container, node: &Node) -> BTreeMap<String, String> {
        let places = self.places(container, node);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", node.bin.display());
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), text(&self.container_folder(container))),
            // Stands for the iptables rules: what goes out goes through the proxy, or nowhere.
            (fake::PROXY_ENV.to_owned(), self.ready_url()),
            // Real k6 would call home.
            ("K6_NO_USAGE_REPORT".to_owned(), "true".to_owned()),
        ]);
        let plain = container.env.iter().filter_map(|one| Some((&one.name, one.value.as_ref()?)));
        env.extend(plain.map(|(name, value)| (name.clone(), places.apply(value))));
        env
    }

    fn network(&self) -> Places {
        let mut places = Places::default();
        for own in ["127.0.0.1", "0.0.0.0", "localhost"] {
            places.put(own, self.address.to_string());
        }
        for (cluster_ip, address) in &self.services {
            places.put(cluster_ip, address.to_string());
        }
        places
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.join("volumes").join(name)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_loopback_one_and_not_the_usual_one() {
        assert!(address(7).is_loopback() && address(7) != Ipv4Addr::LOCALHOST);
        assert_ne!(address(1), address(2));
    }
}
