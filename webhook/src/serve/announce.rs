//! Tells a waiting program where the server listens, by a file.

use serde::Serialize;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The content of the file.
#[derive(Debug, Serialize)]
pub(super) struct Announcement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<SocketAddr>,
    admin: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'a str>,
}

// === impl Announcement ===

impl<'a> Announcement<'a> {
    pub(super) fn new(webhook: Option<SocketAddr>, admin: SocketAddr, ca: Option<&'a str>) -> Self {
        Self { webhook: webhook.map(reachable), admin: reachable(admin), ca }
    }

    /// Writes the file in one step: whoever finds it finds all of it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        let half = half_of(path);
        fs::write(&half, text)?;
        fs::rename(&half, path).inspect_err(|_| {
            // Only tidiness is lost if this fails, too.
            let _ = fs::remove_file(&half);
        })
    }
}

/// Beside the file, because a rename does not cross file systems.
fn half_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// An address that a client on this machine can connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_whole_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("announce.json");
        let (webhook, admin) = (Some("0.0.0.0:1234".parse().unwrap()), "[::]:99".parse().unwrap());
        Announcement::new(webhook, admin, Some("PEM")).write(&path).unwrap();
        Announcement::new(webhook, admin, None).write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"webhook\":\"127.0.0.1:1234\",\"admin\":\"[::1]:99\"}\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn says_what_went_wrong() {
        let address = "127.0.0.1:1".parse().unwrap();
        let error = Announcement::new(None, address, None).write(Path::new("/nowhere/file")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
