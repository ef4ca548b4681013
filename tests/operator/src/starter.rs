//! The starter: one curl for each runner. Nobody reads how it went.

use serde_json::{Value, json};

use crate::{
    pod::{self, Role},
    spec::TestRun,
};

/// Its Job, for the runners' Services at these addresses.
pub(crate) fn job(run: &TestRun, addresses: &[String], default_image: &str) -> Value {
    let settings = &run.spec.starter;
    let mut command = pod::command(&run.spec.scuttle, &["sh", "-c"]);
    command.push(addresses.iter().map(|address| curl(address)).collect::<Vec<_>>().join(";"));
    let container = json!({
        "name": "k6-curl",
        "image": pod::image(settings, default_image),
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "env": pod::scuttle_env(&run.spec.scuttle),
        "resources": settings.resources.clone().unwrap_or_else(resources),
        "securityContext": pod::container_security_context(settings),
    });
    let role = Role {
        name: format!("{}-starter", run.name),
        settings,
        labels: pod::labels(run, &[], settings),
        hostname: None,
        affinity: None,
        container,
        // The user's init containers and volumes are ignored here.
        init_containers: Vec::new(),
        volumes: Vec::new(),
    };
    pod::job(run, role)
}

/// Refused connections are not retried, and an HTTP error is no failure: both as the original.
fn curl(address: &str) -> String {
    let body = r#"{"data":{"attributes":{"paused":false,"stopped":false},"id":"default","type":"status"}}"#;
    let written = r#"{"http_code":%{http_code},"time_total":%{time_total},"time_starttransfer":%{time_starttransfer},"url":"%{url_effective}","remote_ip":"%{remote_ip}","errormsg":"%{errormsg}"}"#;
    format!(
        "curl --retry 3 -X PATCH -H 'Content-Type: application/json' http://{address}:6565/v1/status -d '{body}' -s -w '\n{written}'"
    )
}

fn resources() -> Value {
    json!({"requests": {"cpu": "50m", "memory": "2Mi"}, "limits": {"cpu": "100m", "memory": "200Mi"}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    /// As the fact sheet on v1.6.0 has it, byte for byte.
    const CURL: &str = r#"curl --retry 3 -X PATCH -H 'Content-Type: application/json' http://10.96.0.10:6565/v1/status -d '{"data":{"attributes":{"paused":false,"stopped":false},"id":"default","type":"status"}}' -s -w '
{"http_code":%{http_code},"time_total":%{time_total},"time_starttransfer":%{time_starttransfer},"url":"%{url_effective}","remote_ip":"%{remote_ip}","errormsg":"%{errormsg}"}'"#;

    #[test]
    fn every_runner_is_patched_and_only_the_last_answer_counts() {
        let addresses = ["10.96.0.10".to_owned(), "10.96.0.11".to_owned()];
        let built = job(&sample(json!({})), &addresses, "starter");
        let container = built.pointer("/spec/template/spec/containers/0").unwrap();
        let second = CURL.replace("0.10:", "0.11:");
        assert_eq!(container["command"], json!(["sh", "-c", format!("{CURL};{second}")]));
        assert_eq!(container["name"], "k6-curl");
        assert_eq!(container["image"], "starter");
        assert_eq!(container["ports"], Value::Null);
        assert_eq!(built["metadata"]["name"], "sample-starter");
        assert_eq!(built["spec"]["backoffLimit"], 0);
    }

    #[test]
    fn it_has_nothing_of_the_runner() {
        let run = sample(json!({"runner": {"metadata": {"annotations": {"a": "b"}}, "image": "k6"}}));
        let built = job(&run, &["10.96.0.10".to_owned()], "starter");
        assert_eq!(built["metadata"]["annotations"], json!({}));
        assert_eq!(built["metadata"]["labels"], json!({"app": "k6", "k6_cr": "sample"}));
    }
}
