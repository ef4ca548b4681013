//! The real program as a webhook, asked over TLS.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig, TlsProvider},
};

/// A running `curfew serve`; killed when it goes out of scope.
pub(crate) struct Webhook {
    process: Child,
    agent: Agent,
    url: String,
    admin: String,
    _folder: TempDir,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Webhook {
    pub(crate) fn start(config: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let announce = folder.path().join("announce.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args([
            "serve",
            "--offline",
            "--self-signed",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.arg("--announce").arg(&announce);
        config.map(|path| command.arg("--config").arg(path));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("curfew serve");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !announce.exists() {
            assert!(process.try_wait().expect("its state").is_none(), "curfew serve ended");
            assert!(Instant::now() < deadline, "curfew serve announces nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = fs::read(&announce).expect("the announcement");
        let addresses: Value = serde_json::from_slice(&text).expect("JSON");
        let field = |name: &str| addresses[name].as_str().expect(name).to_owned();
        Self {
            process,
            agent: agent(&field("ca")),
            url: format!("https://{}/mutate", field("webhook")),
            admin: format!("http://{}", field("admin")),
            _folder: folder,
        }
    }

    pub(crate) fn post(&self, content_type: &str, body: &[u8]) -> Reply {
        let response = self.agent.post(&self.url).content_type(content_type).send(body).expect("an answer");
        read(response)
    }

    pub(crate) fn ask(&self, review: &Value) -> Reply {
        self.post("application/json", review.to_string().as_bytes())
    }

    pub(crate) fn metrics(&self) -> String {
        read(self.agent.get(format!("{}/metrics", self.admin)).call().expect("metrics")).text
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Reply {
    /// The `response` of an answered review.
    pub(crate) fn response(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        let review: Value = serde_json::from_str(&self.text).expect("JSON");
        assert_eq!(review["kind"], "AdmissionReview");
        review["response"].clone()
    }
}

/// A review of a pod as the API server sends it.
pub(crate) fn review(pod: &Value) -> Value {
    let pods =
        |kind: &str| json!({"group": "", "version": "v1", kind: if kind == "kind" { "Pod" } else { "pods" }});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "c0347736-4ec3-472d-80e9-738dd07f6d65", "kind": pods("kind"), "resource": pods("resource"),
        "requestKind": pods("kind"), "requestResource": pods("resource"), "namespace": "load",
        "operation": "CREATE", "userInfo": {"username": "system:serviceaccount:kube-system:job-controller"},
        "object": pod, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}})
}

fn agent(ca: &str) -> Agent {
    let root = Certificate::from_pem(ca.as_bytes()).expect("a CA");
    // Several crates here bring rustls with other providers' features: this one says which.
    drop(rustls::crypto::ring::default_provider().install_default());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&[root]))
        .build();
    Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Reply {
    let text = response.body_mut().read_to_string().expect("a body");
    Reply { status: response.status().as_u16(), text }
}
