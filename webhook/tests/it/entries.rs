//! The same corpus through the other ways in: over TLS as the API server asks, and by the command line.

use std::{
    fs,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use curfew::plan::{Kubelets, Namespace};
use serde_json::{Value, json};

use crate::{
    support::{Case, Cluster, cases},
    webhook::{Webhook, review},
};

/// Kubelets that can do everything, in the corpus.
const MODERN: &str = "1.36.3";

/// A pod that names no pull secrets, where some are configured.
const WITHOUT_PULL_SECRETS: &str = "config-pull-secrets";

/// The webhook learns namespaces from the API server, which this test has none of.
fn without_facts_of_a_namespace() -> impl Iterator<Item = &'static Case> {
    cases().iter().filter(|case| case.namespace == Namespace::default())
}

#[test]
fn the_webhook_patches_every_pod_as_the_library_does() {
    let modern_config = tempfile::NamedTempFile::new().expect("a temporary file");
    // Offline, the configuration alone can speak for the nodes.
    fs::write(&modern_config, format!("nodes: {{oldestKubelet: {MODERN}}}")).expect("a configuration");
    let (builtin, modern) = (Webhook::start(None), Webhook::start(Some(modern_config.path())));
    let mut asked = 0;
    for case in without_facts_of_a_namespace() {
        let own = case.config.as_deref().map(|config| Webhook::start(Some(config)));
        let webhook = match (&case.cluster, &own) {
            (None, own) => own.as_ref().unwrap_or(&builtin),
            // Offline, nobody watches pods.
            (Some(cluster), None) if cluster.oldest == MODERN.parse().ok() && !cluster.watch => &modern,
            // No configuration says what this cluster is.
            (Some(_), _) => continue,
        };
        let response = webhook.ask(&review(&case.pod)).response();
        assert_eq!(response["allowed"], true, "{}", case.name);
        assert_eq!(response["uid"], "c0347736-4ec3-472d-80e9-738dd07f6d65", "{}", case.name);
        let mut pod = case.pod.clone();
        if let Some(patch) = response["patch"].as_str() {
            assert_eq!(response["patchType"], "JSONPatch", "{}", case.name);
            let patch = STANDARD.decode(patch).expect("base64");
            let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
            json_patch::patch(&mut pod, &patch).expect("it applies");
        }
        assert_eq!(pod, case.patched(), "{}", case.name);
        asked += 1;
    }
    assert!(asked >= 250, "only {asked} cases");
    let metrics = builtin.metrics();
    let counted = r#"curfew_admissions_total{workload="k6-runner",strategy="await",outcome="patched"}"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn inject_patches_every_pod_as_the_library_does() {
    // In a file that one's ServiceAccount has yet to give it some.
    for case in without_facts_of_a_namespace().filter(|case| case.name != WITHOUT_PULL_SECRETS) {
        let file = case.folder.join("pod.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args(["inject", "--quiet", "-f"]).arg(&file);
        case.config.as_ref().map(|config| command.arg("--config").arg(config));
        if let Some(Cluster { kubelets, oldest, watch }) = &case.cluster {
            // What one flag can say is said; where a node is to be named, it cannot.
            match oldest.filter(|oldest| Kubelets::none_older("--kubelet allows", *oldest) == *kubelets) {
                Some(oldest) => drop(command.arg("--kubelet").arg(oldest.to_string())),
                None if *kubelets == Kubelets::default() => {}
                None => continue,
            }
            if *watch {
                command.arg("--watch");
            }
        }
        let output = command.output().expect("curfew inject");
        assert!(output.status.success(), "{}: {}", case.name, text(&output.stderr));
        let pod: Value = serde_saphyr::from_str(&text(&output.stdout)).expect("YAML");
        assert_eq!(pod, case.patched(), "{}", case.name);
        let unchanged = pod == case.pod;
        let source = std::fs::read_to_string(&file).expect("the pod");
        assert_eq!(
            unchanged,
            text(&output.stdout) == source,
            "{}: a pod that stays passes byte for byte",
            case.name
        );
    }
}

#[test]
fn what_is_no_review_of_a_pod_gets_a_clear_answer_and_is_never_denied() {
    let webhook = Webhook::start(None);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "command": ["run"]}]}});
    let good = review(&pod);
    let with = |path: &str, value: Value| {
        let mut review = good.clone();
        *review.pointer_mut(path).expect(path) = value;
        review.to_string().into_bytes()
    };
    let json = "application/json";

    // Not a review: an error that says so. The API server never sends these.
    let large = vec![b' '; 9 << 20];
    let refused: [(&str, &str, Vec<u8>, u16, &str); 8] = [
        ("garbage", json, b"\x00\xff{".to_vec(), 400, "no JSON"),
        ("no body", json, Vec::new(), 400, "empty"),
        ("another content type", "text/plain", good.to_string().into(), 415, "application/json"),
        ("too much", json, large, 413, ""),
        ("a pod, not a review", json, pod.to_string().into(), 400, "`Pod` of `v1`"),
        (
            "no request",
            json,
            br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#.to_vec(),
            400,
            "no request",
        ),
        ("a request without uid", json, with("/request", json!({"object": pod})), 400, "uid"),
        ("a list", json, b"[]".to_vec(), 400, ""),
    ];
    for (name, content_type, body, status, says) in refused {
        let reply = webhook.post(content_type, &body);
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        assert!(reply.text.contains(says), "{name}: {}", reply.text);
    }

    // A review, but not of a pod that is created: admitted as it came.
    let deployment = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let unchanged: [(&str, Vec<u8>, &str); 5] = [
        ("no object", with("/request/object", Value::Null), "no object"),
        ("another kind", with("/request/kind", deployment), "apps/v1 Deployment"),
        ("an update", with("/request/operation", json!("UPDATE")), "at UPDATE"),
        ("a list for a pod", with("/request/object", json!([1])), "no object"),
        (
            "a pod of the wrong types",
            with("/request/object/spec", json!({"containers": 7, "restartPolicy": "Never"})),
            "cannot be read",
        ),
    ];
    for (name, body, says) in unchanged {
        let response = webhook.post(json, &body).response();
        assert_eq!(response["allowed"], true, "{name}");
        assert_eq!(response["patch"], Value::Null, "{name}");
        let warning = response["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.contains(says) && warning.contains("admitted unchanged"), "{name}: {response}");
    }

    // v1beta1 has the same shape, and a dry run is answered as if it were none: there are no side effects.
    let response = webhook.post(json, &with("/apiVersion", json!("admission.k8s.io/v1beta1")));
    assert!(response.text.contains(r#""apiVersion":"admission.k8s.io/v1beta1""#), "{}", response.text);
    assert_eq!(response.response()["allowed"], true);
    let dry = webhook.post(json, &with("/request/dryRun", json!(true))).response();
    assert_eq!(dry["patch"], webhook.ask(&good).response()["patch"]);
}

#[test]
fn inject_passes_what_is_no_pod_through_byte_for_byte_and_patches_the_rest() {
    let text_in = "# a comment\nkind: ConfigMap\ndata: {on: 'yes'}\n---\nkind: Job\nmetadata: {name: j}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {name: main, command: [run, '1.0', 'no']}\n      - {name: envoy, image: envoyproxy/envoy}\n---\n# nothing\n---\nkind: TestRun\nspec: {parallelism: 4}\n";
    let output = inject(text_in);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.starts_with("# a comment\nkind: ConfigMap\ndata: {on: 'yes'}\n---\n"), "{out}");
    assert!(out.ends_with("---\n# nothing\n---\nkind: TestRun\nspec: {parallelism: 4}\n"), "{out}");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&out).expect("YAML");
    let main = &documents[1]["spec"]["template"]["spec"]["containers"][0];
    let command = main["command"].as_array().expect("a command");
    assert_eq!(command[..2], ["/.curfew/bin/curfew-reaper", "await"]);
    assert_eq!(command[command.len() - 4..], ["--", "run", "1.0", "no"]);
    assert!(text(&output.stderr).contains("document 2, Job/j: await"), "{}", text(&output.stderr));
}

#[test]
fn inject_adds_no_pull_secret_that_would_keep_those_of_the_service_account_away() {
    let folder = crate::support::corpus_folder().join(WITHOUT_PULL_SECRETS);
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    command.args(["inject", "-f"]).arg(folder.join("pod.yaml"));
    let output = command.arg("--config").arg(folder.join("config.yaml")).output().expect("curfew inject");
    let pod: Value = serde_saphyr::from_str(&text(&output.stdout)).expect("YAML");
    assert_eq!(pod["spec"]["imagePullSecrets"], Value::Null);
    assert_eq!(pod["spec"]["initContainers"][1]["name"], "curfew-install");
    let told = text(&output.stderr);
    assert!(told.contains("mirror, team") && told.contains("ServiceAccount"), "{told}");
}

#[test]
fn inject_names_file_document_and_line_of_broken_yaml_and_writes_nothing() {
    let output = inject("kind: Pod\n---\nkind: [\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let message = text(&output.stderr);
    assert!(message.contains("-: document 2, line 3"), "{message}");
}

#[test]
fn inject_diff_shows_only_what_changes() {
    let folder = crate::support::corpus_folder().join("job-envoy/pod.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    let output = command.args(["inject", "--diff", "-f"]).arg(folder).output().expect("curfew inject");
    let diff = text(&output.stdout);
    assert!(diff.contains("+    - /.curfew/bin/curfew-reaper"), "{diff}");
    assert!(!diff.contains("-  - name: main"), "{diff}");
}

#[test]
fn inject_strategy_beats_the_annotation() {
    let folder = crate::support::corpus_folder().join("strategy-await/pod.yaml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    let output =
        command.args(["inject", "--strategy", "off", "-f"]).arg(&folder).output().expect("curfew inject");
    assert_eq!(text(&output.stdout), std::fs::read_to_string(folder).expect("the pod"));
}

#[test]
fn inject_refuses_a_kubelet_that_is_no_version() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    let output = command.args(["inject", "--kubelet", "new", "-f", "-"]).output().expect("curfew inject");
    let message = text(&output.stderr);
    assert!(message.contains("--kubelet") && message.contains("`new` is no version"), "{message}");
}

#[test]
fn a_broken_configuration_is_refused_at_start_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("curfew.yaml");
    std::fs::write(&path, "defaults:\n  readyTimeout: soon\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    let output = command
        .args(["serve", "--offline", "--self-signed", "--config"])
        .arg(&path)
        .output()
        .expect("curfew serve");
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("curfew.yaml") && message.contains("soon"), "{message}");
}

#[test]
fn the_printed_configuration_can_be_given_again() {
    let print = |config: Option<&std::path::Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
        command.args(["serve", "--print-config"]);
        config.map(|path| command.arg("--config").arg(path));
        let output = command.output().expect("curfew serve");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("printed.yaml");
    let printed = print(None);
    assert!(printed.contains("readyTimeout: 1m"), "{printed}");
    std::fs::write(&path, &printed).expect("a file");
    assert_eq!(print(Some(&path)), printed);
}

fn inject(input: &str) -> Output {
    use std::{io::Write, process::Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew"));
    command.args(["inject", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("curfew inject");
    process.stdin.take().expect("its input").write_all(input.as_bytes()).expect("input");
    process.wait_with_output().expect("its output")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
