//! A real Prometheus, and its `promtool`.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::until;

/// Scrapes and evaluates once a second; ends with the test, whatever became of it.
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    agent: Agent,
    _folder: TempDir,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts one on a port and in a folder of its own, and waits until it takes requests.
    pub(crate) fn start(targets: &[&str], rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (config, log) = (folder.path().join("prometheus.yml"), folder.path().join("log"));
        fs::write(folder.path().join("rules.yaml"), rules).unwrap();
        let text = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "curfew", "static_configs": [{"targets": targets}]}],
        });
        fs::write(&config, text.to_string()).unwrap();
        let data = folder.path().join("data");
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}; {INSTALL}"));
        let agent = Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut prometheus = Self { process, url: String::new(), agent, _folder: folder };
        prometheus.url = until("Prometheus listens", || {
            let said = fs::read_to_string(&log).unwrap();
            let ended = prometheus.process.try_wait().unwrap();
            assert!(ended.is_none(), "prometheus ended: {said}");
            let line = said.lines().find(|line| line.contains(r#"msg="Listening on""#))?;
            Some(format!("http://{}", line.split_once("address=")?.1.trim()))
        });
        until("Prometheus is ready", || {
            let answer = prometheus.agent.get(format!("{}/-/ready", prometheus.url)).call().ok()?;
            (answer.status() == 200).then_some(())
        });
        prometheus
    }

    /// The series an expression comes to now; an error if it is none.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.get("query", Some(("query", expression)))?;
        match &data["result"] {
            Value::Array(series) => Ok(series.clone()),
            other => Err(format!("{expression} comes to {other}")),
        }
    }

    /// Waits until an expression comes to something, and tells what.
    pub(crate) fn comes_to(&self, expression: &str) -> Vec<Value> {
        until(expression, || Some(self.query(expression).unwrap()).filter(|series| !series.is_empty()))
    }

    /// The names of all metrics it has seen.
    pub(crate) fn names(&self) -> Vec<String> {
        serde_json::from_value(self.get("label/__name__/values", None).unwrap()).unwrap()
    }

    /// Waits until an alert fires, and tells all that is known of it.
    pub(crate) fn fires(&self, alert: &str) -> Value {
        until(&format!("{alert} fires"), || {
            self.firing().into_iter().find(|is| is["labels"]["alertname"] == alert)
        })
    }

    /// The alerts that fire now.
    pub(crate) fn firing(&self) -> Vec<Value> {
        let alerts = self.get("alerts", None).unwrap();
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts.iter().filter(|alert| alert["state"] == "firing").cloned().collect()
    }

    fn get(&self, path: &str, parameter: Option<(&str, &str)>) -> Result<Value, String> {
        let request = self.agent.get(format!("{}/api/v1/{path}", self.url));
        let request =
            parameter.into_iter().fold(request, |request, (name, value)| request.query(name, value));
        let text = request.call().unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        match answer["status"] == "success" {
            true => Ok(answer["data"].clone()),
            false => Err(format!("{path} {parameter:?}: {}", answer["error"])),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const INSTALL: &str = "`make tools` installs it, or install Debian's package prometheus by hand";

/// Runs `promtool` from a folder.
pub(crate) fn promtool(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; {INSTALL}"));
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}
