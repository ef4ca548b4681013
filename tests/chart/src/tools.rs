//! Helm and kustomize, as processes.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Object, parse};

/// What a program said when it refused.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The folder `manifests`.
pub fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests")
}

/// The chart.
pub fn chart() -> PathBuf {
    manifests().join("chart")
}

/// The values files, one for each way the chart's structure can go.
///
/// # Errors
/// The folder cannot be read.
pub fn values() -> anyhow::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("values");
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// What `tool.sh` prints of this name: the path of a program, which is built if it is not there.
///
/// # Errors
/// It is not to be had.
pub fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tool.sh");
    let output = Command::new("sh").arg(script).arg(name).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "tests/chart/tool.sh {name} failed");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// Runs Helm; what it prints.
///
/// # Errors
/// It is not to be had, or refuses ([`Refused`]).
pub fn helm<'a>(arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<String> {
    let mut command = Command::new(tool("helm")?);
    // No settings of whoever runs this.
    let nowhere = std::env::temp_dir().join("curfew-chart-helm");
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &nowhere);
    }
    run(command.args(arguments))
}

/// What the chart renders with these arguments, as text.
///
/// # Errors
/// As [`helm`].
pub fn template(arguments: &[&str]) -> anyhow::Result<String> {
    let chart = chart().display().to_string();
    helm(["template", "curfew", &chart, "--namespace", "curfew"].into_iter().chain(arguments.iter().copied()))
}

/// The same as objects, with this values file.
///
/// # Errors
/// As [`template`], or it is not YAML.
pub fn rendered(values: &Path) -> anyhow::Result<Vec<Object>> {
    parse(&template(&["--values", &values.display().to_string()])?)
}

/// The objects of a folder with a kustomization.
///
/// # Errors
/// kustomize is not to be had or refuses, or it is not YAML.
pub fn kustomize(folder: &Path) -> anyhow::Result<Vec<Object>> {
    parse(&run(Command::new(tool("kustomize")?).arg("build").arg(folder))?)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(Refused(String::from_utf8_lossy(&output.stderr).into_owned()).into())
}
