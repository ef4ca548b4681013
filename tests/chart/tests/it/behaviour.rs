//! What is rendered is understood by what it starts.

use clap::Parser;
use curfew::{cli::Args, config::Config};
use curfew_chart::{Object, rendered, template, values};
use serde_json::Value;

use crate::rendered::{of, one};

fn config(objects: &[Object]) -> Config {
    let text = one(objects, "ConfigMap", "curfew")["data"]["config.yaml"].as_str().unwrap();
    Config::parse(text, "config.yaml").unwrap()
}

fn checksum(objects: &[Object]) -> &Value {
    let template = &one(objects, "Deployment", "curfew")["spec"]["template"];
    &template["metadata"]["annotations"]["checksum/config"]
}

#[test]
fn the_server_reads_every_configuration_and_every_flag() {
    for file in values().unwrap() {
        let objects = rendered(&file).unwrap();
        config(&objects);
        let container = &one(&objects, "Deployment", "curfew")["spec"]["template"]["spec"]["containers"][0];
        let words = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        // CURFEW_NAMESPACE and CURFEW_POD come by the environment there.
        let own = ["--own-namespace=curfew", "--own-pod=curfew-a"];
        let parsed = Args::try_parse_from(["curfew"].into_iter().chain(words).chain(own));
        assert!(parsed.is_ok(), "{}: {}", file.display(), parsed.unwrap_err());
    }
}

#[test]
fn the_defaults_are_the_servers_own() {
    assert_eq!(config(&of("default")), Config::builtin().unwrap());
}

#[test]
fn values_reach_the_behaviour() {
    let Config { settings, catalogue } = config(&of("behaviour"));
    let yaml = Config { settings, catalogue }.to_yaml();
    for part in
        ["strategy: native", "readyTimeout: 5m", "onReadyTimeout: run", "k6ControlPort: mesh", "imageVolume"]
    {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    assert!(config(&of("behaviour")).catalogue.sidecars.iter().any(|row| row.name == "sql-proxy"));
    assert!(!config(&of("without-watch")).settings.watch);
    assert!(!config(&of("single-namespace")).settings.watch);
}

#[test]
fn images_come_from_the_mirror_with_digests_and_secrets() {
    let objects = of("air-gap");
    let reaper = config(&objects).settings.reaper;
    let ones = "1".repeat(64);
    assert_eq!(
        reaper.image,
        format!("registry.example:5000/mirror/curfew-dev/curfew-reaper:0.1.0-r2@sha256:{ones}")
    );
    assert_eq!(reaper.image_pull_secrets, ["mirror", "other-mirror"]);
    let pod = &one(&objects, "Deployment", "curfew")["spec"]["template"]["spec"];
    let image = pod["containers"][0]["image"].as_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        image.starts_with(&format!("registry.example:5000/mirror/curfew-dev/curfew:{version}@sha256:000")),
        "{image}"
    );
    assert_eq!(pod["imagePullSecrets"][0]["name"], "mirror");
}

#[test]
fn another_behaviour_is_another_start_and_nothing_else_is() {
    let default = of("default");
    assert_eq!(checksum(&default), checksum(&of("host-network")));
    assert_ne!(checksum(&default), checksum(&of("behaviour")));
}

#[test]
fn chart_and_programs_have_one_version() {
    let chart = std::fs::read_to_string(curfew_chart::chart().join("Chart.yaml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for line in [format!("\nversion: {version}\n"), format!("\nappVersion: {version}\n")] {
        assert!(chart.contains(&line), "{line}");
    }
}

#[test]
fn notes_say_the_next_command() {
    let notes = |arguments: &[&str]| {
        let chart = curfew_chart::chart().display().to_string();
        let of_all = ["install", "curfew", &chart, "--namespace", "curfew", "--dry-run=client"];
        curfew_chart::helm(of_all.into_iter().chain(arguments.iter().copied())).unwrap()
    };
    assert!(notes(&[]).contains("kubectl label namespace NAME curfew.dev/inject=enabled"));
    let of_one = notes(&["--set", "rights.scope=namespaces", "--set", "rights.namespaces={load}"]);
    assert!(of_one.contains("kubectl label namespace load curfew.dev/inject=enabled"), "{of_one}");
    let before_it_goes = notes(&["--set", "webhook.enabled=false"]);
    assert!(before_it_goes.contains("curfew check --uninstall"), "{before_it_goes}");
    let on_the_node = notes(&["--set", "hostNetwork=true", "--set", "metrics.port=10261"]);
    for part in ["pod-security.kubernetes.io/enforce=privileged", "10261 (metrics, plain HTTP) are open"] {
        assert!(on_the_node.contains(part), "{part}: {on_the_node}");
    }
}

#[test]
fn rendering_twice_yields_the_same() {
    assert_eq!(template(&[]).unwrap(), template(&[]).unwrap());
}
