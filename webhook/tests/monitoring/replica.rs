//! A replica of the real program, and what API servers and others ask of it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use curfew::serve::PATH;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

use crate::until;

/// Ends with the test, whatever became of it.
pub(crate) struct Replica {
    process: Child,
    address: Addresses,
    _folder: TempDir,
}

/// What the program announces.
#[derive(Deserialize)]
struct Addresses {
    webhook: String,
    admin: String,
    ca: String,
}

// === impl Replica ===

impl Replica {
    /// One that answers reviews and watches nothing.
    pub(crate) fn offline() -> Self {
        Self::start(|command, _| {
            command.arg("--offline");
        })
    }

    /// One that would watch pods, but nobody listens where its API server should be.
    pub(crate) fn cut_off() -> Self {
        Self::start(|command, folder| {
            let kubeconfig = folder.join("kubeconfig");
            let cluster = json!({"name": "c", "cluster": {"server": "http://127.0.0.1:1"}});
            let config = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [cluster],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
            });
            fs::write(&kubeconfig, config.to_string()).unwrap();
            command.env("KUBECONFIG", kubeconfig);
        })
    }

    fn start(change: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let announce = folder.path().join("announce.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args(["serve", "--self-signed", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--announce").arg(&announce).stdout(Stdio::null()).stderr(Stdio::null());
        change(&mut command, folder.path());
        let process = command.spawn().unwrap();
        let announced = || serde_json::from_slice(&fs::read(&announce).ok()?).ok();
        let address = until("the announcement", announced);
        Self { process, address, _folder: folder }
    }

    /// Where it is scraped.
    pub(crate) fn admin(&self) -> &str {
        &self.address.admin
    }

    /// What is scraped there.
    pub(crate) fn page(&self) -> String {
        let url = format!("http://{}/metrics", self.admin());
        agent(&self.address.ca).get(url).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Sends the review of a k6 runner under Istio, which is patched.
    pub(crate) fn review(&self) {
        let review = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/review.json");
        assert_eq!(self.post(&fs::read_to_string(review).unwrap()), 200);
    }

    /// Sends the review of a pod that cannot be read.
    pub(crate) fn unreadable_review(&self) {
        let group = json!({"group": "", "version": "v1", "kind": "Pod", "resource": "pods"});
        let review: Value = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": group, "resource": group, "namespace": "shop", "operation": "CREATE",
            "object": {"spec": 5},
        }});
        assert_eq!(self.post(&review.to_string()), 200);
    }

    /// Sends JSON that is no review.
    pub(crate) fn no_review(&self) {
        assert_eq!(self.post("{}"), 400);
    }

    /// Shakes hands as an API server that trusts another CA: looks at the certificate, says no and goes. By hand, as ureq goes
    /// without a word.
    pub(crate) fn distrust(&self, other: &Self) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(other.address.ca.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = TcpStream::connect(&self.address.webhook).unwrap();
        let refused = client.complete_io(&mut stream).unwrap_err();
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }

    /// Asks for a page as somebody who takes the port for one of plain HTTP, and waits until that is over.
    pub(crate) fn plain_http(&self) {
        let mut stream = TcpStream::connect(&self.address.webhook).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // An alert of TLS, and the end, however it comes.
        let mut answer = Vec::new();
        let _ended = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }

    fn post(&self, body: &str) -> u16 {
        let request = agent(&self.address.ca).post(self.url()).content_type("application/json");
        request.send(body).unwrap().status().as_u16()
    }

    fn url(&self) -> String {
        format!("https://{}{PATH}", self.address.webhook)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client that trusts this one CA.
fn agent(pem: &str) -> Agent {
    let ca = Certificate::from_pem(pem.as_bytes()).unwrap();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&[ca]))
        .build();
    Agent::config_builder().tls_config(tls).http_status_as_error(false).proxy(None).build().into()
}
