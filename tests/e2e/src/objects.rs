//! The objects tests are made of.

use serde_json::{Value, json};

/// One of the project's images, in its own version, where `IMAGE_PREFIX` says.
pub fn image(name: &str) -> String {
    real_image(name, env!("CARGO_PKG_VERSION"))
}

/// An image of somebody else's program, as `tests/real` names it.
pub fn real_image(name: &str, tag: &str) -> String {
    format!("{}/{name}:{tag}", image_prefix())
}

/// What the images' names begin with.
pub fn image_prefix() -> String {
    std::env::var("IMAGE_PREFIX").unwrap_or_else(|_| "ghcr.io/curfew-dev".to_owned())
}

/// A manifest with the images of the prefix in force.
pub(crate) fn with_images(text: &str) -> String {
    text.lines()
        .map(|line| {
            match line.split_once("ghcr.io/curfew-dev/").and_then(|(a, b)| Some((a, b.split_once(':')?))) {
                Some((before, (name, tag))) => {
                    let after = tag.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                    format!("{before}{}{after}\n", image(name))
                }
                None => format!("{line}\n"),
            }
        })
        .collect()
}

/// A Job of one container `main` that runs a shell script; it is never tried again.
pub fn job(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [main(script)],
        }}},
    })
}

fn main(script: &str) -> Value {
    json!({"name": "main", "image": image("test-busybox"), "command": ["sh", "-c", script]})
}

/// The same with the container as Artillery's and other vendors' come: its command is the image's own, and only its
/// arguments are in the pod. This image runs them as a script.
pub fn vendor_job(name: &str, script: &str) -> Value {
    with(job(name, ""), |job| pod_of(job)["containers"][0] = vendor("main", script))
}

/// Such a container.
pub fn vendor(name: &str, script: &str) -> Value {
    json!({"name": name, "image": image("test-vendor"), "args": [script]})
}

/// The Job with one more regular container, behind the others.
pub fn beside(job: Value, container: Value) -> Value {
    with(job, |job| {
        if let Some(containers) = pod_of(job)["containers"].as_array_mut() {
            containers.push(container);
        }
    })
}

/// The Job beside the cheapest sidecar there is, which a row of its pods' own describes: dozens of Envoys at once are a
/// test of the machine.
pub fn beside_helper(job: Value) -> Value {
    let row = "- name: helper\n  containers: [helper]\n  ready: http://127.0.0.1:9901/ready\n  \
               shutdown: {url: 'http://127.0.0.1:9901/quitquitquit'}\n";
    let helper = json!({"name": "helper", "image": image("test-standin"), "args": ["--shape=envoy"]});
    annotated(beside(job, helper), "curfew.dev/sidecars", row)
}

/// The Job with one more annotation on its pods.
pub fn annotated(job: Value, key: &str, value: &str) -> Value {
    with(job, |job| job["spec"]["template"]["metadata"]["annotations"][key] = json!(value))
}

/// The pod spec within a Job.
pub fn pod_of(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]
}

/// The object with something changed.
pub fn with(mut object: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut object);
    object
}

/// A TestRun, by name alone: enough to ask for it.
pub fn testrun(name: &str) -> Value {
    json!({"apiVersion": "k6.io/v1alpha1", "kind": "TestRun", "metadata": {"name": name}})
}
