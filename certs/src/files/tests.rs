use super::*;
use crate::issue::{Issued, self_signed};
use std::{os::unix::fs::symlink, time::SystemTime};
use tempfile::TempDir;

fn issued() -> Issued {
    self_signed(&["localhost".parse().unwrap()], SystemTime::now()).unwrap()
}

fn files_in(dir: &Path) -> Files {
    Files { cert: dir.join("tls.crt"), key: dir.join("tls.key") }
}

fn write(dir: &Path, cert: &str, key: &str) -> Files {
    fs::create_dir_all(dir).unwrap();
    let files = files_in(dir);
    fs::write(&files.cert, cert).unwrap();
    fs::write(&files.key, key).unwrap();
    files
}

/// A directory as the kubelet makes it: `tls.crt -> ..data/tls.crt`, `..data -> ..VERSION`.
fn mount(root: &Path, version: &str, pair: &Issued) -> Files {
    write(&root.join(version), &pair.chain_pem, &pair.key_pem);
    swap(root, version);
    let files = files_in(root);
    for file in [&files.cert, &files.key] {
        let target = Path::new("..data").join(file.file_name().unwrap());
        if fs::symlink_metadata(file).is_err() {
            symlink(target, file).unwrap();
        }
    }
    files
}

fn swap(root: &Path, version: &str) {
    let (next, data) = (root.join("..data_tmp"), root.join("..data"));
    symlink(version, &next).unwrap();
    fs::rename(next, data).unwrap();
}

#[test]
fn loads_a_chain_with_its_key() {
    let dir = TempDir::new().unwrap();
    let pair = issued();
    let loaded = write(dir.path(), &pair.chain_pem, &pair.key_pem).load().unwrap();
    assert_eq!(loaded.cert, pair.key.cert);
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let dir = TempDir::new().unwrap();
    let (pair, other) = (issued(), issued());
    let garbage = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    for (cert, key, file, reason) in [
        ("", pair.key_pem.as_str(), "tls.crt", "holds no certificate"),
        (pair.key_pem.as_str(), pair.key_pem.as_str(), "tls.crt", "holds no certificate"),
        (garbage, pair.key_pem.as_str(), "tls.crt", "is not valid PEM"),
        (pair.chain_pem.as_str(), "", "tls.key", "holds no private key"),
        (pair.chain_pem.as_str(), pair.chain_pem.as_str(), "tls.key", "holds no private key"),
        (pair.chain_pem.as_str(), other.key_pem.as_str(), "tls.key", "does not belong to the certificate"),
    ] {
        let error = write(dir.path(), cert, key).load().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(dir.path().join(file).to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = TempDir::new().unwrap();
    let pair = issued();
    let files = write(dir.path(), &pair.chain_pem, &pair.key_pem);
    fs::remove_file(&files.key).unwrap();
    let error = files.load().unwrap_err().to_string();
    assert!(error.contains("tls.key") && error.contains("No such file"), "{error}");
    let error = Reloader::open(files_in(&dir.path().join("nowhere"))).unwrap_err().to_string();
    assert!(error.contains("nowhere/tls.crt"), "{error}");
}

#[test]
fn follows_a_swap_of_the_data_symlink() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (issued(), issued());
    let mut reloader = Reloader::open(mount(dir.path(), "..2026_11_20", &first)).unwrap();
    let resolver = reloader.resolver();
    assert_eq!(reloader.poll().unwrap(), Change::None);
    assert_eq!(resolver.current().unwrap().cert, first.key.cert);

    mount(dir.path(), "..2026_11_21", &second);
    fs::remove_dir_all(dir.path().join("..2026_11_20")).unwrap();
    assert_eq!(reloader.poll().unwrap(), Change::Renewed);
    assert_eq!(resolver.current().unwrap().cert, second.key.cert);
    assert_eq!(reloader.poll().unwrap(), Change::None);
}

#[test]
fn a_broken_new_pair_keeps_the_old_one_and_is_reported_once() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (issued(), issued());
    let mut reloader = Reloader::open(write(dir.path(), &first.chain_pem, &first.key_pem)).unwrap();
    let resolver = reloader.resolver();

    write(dir.path(), &second.chain_pem, &first.key_pem);
    assert!(matches!(reloader.poll(), Err(LoadError::Mismatch { .. })));
    assert_eq!(reloader.poll().unwrap(), Change::None);
    assert_eq!(resolver.current().unwrap().cert, first.key.cert);

    fs::remove_file(dir.path().join("tls.crt")).unwrap();
    assert!(matches!(reloader.poll(), Err(LoadError::Read { .. })));
    assert_eq!(reloader.poll().unwrap(), Change::None);
    assert_eq!(resolver.current().unwrap().cert, first.key.cert);

    write(dir.path(), &second.chain_pem, &second.key_pem);
    assert_eq!(reloader.poll().unwrap(), Change::Renewed);
    assert_eq!(resolver.current().unwrap().cert, second.key.cert);
}

#[test]
fn what_was_there_before_the_breakage_is_taken_again() {
    let dir = TempDir::new().unwrap();
    let pair = issued();
    let mut reloader = Reloader::open(write(dir.path(), &pair.chain_pem, &pair.key_pem)).unwrap();
    write(dir.path(), "", "");
    assert!(reloader.poll().is_err());
    write(dir.path(), &pair.chain_pem, &pair.key_pem);
    assert_eq!(reloader.poll().unwrap(), Change::Renewed);
}
