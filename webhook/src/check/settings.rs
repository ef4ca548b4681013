//! What Curfew's Deployment says of how it runs: its flags, and the behaviour it reads.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container, Volume},
};

use super::Facts;
use crate::config::{Config, Settings};

/// Where its certificate comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Certificates {
    /// It keeps a CA of its own in this Secret.
    Own(String),
    /// cert-manager, or its user, fills these Secrets.
    Files(Vec<String>),
}

/// Where the behaviour stands: ConfigMap and key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) key: String,
}

/// The behaviour in force, as far as it is known.
pub(super) fn of(facts: &Facts) -> Option<Settings> {
    read(facts).ok().flatten().map(|config| config.settings)
}

/// The same, or why replicas would not start with it.
///
/// # Errors
/// It does not hold: the reason.
pub(super) fn read(facts: &Facts) -> Result<Option<Config>, String> {
    let (Ok(Some(map)), Some(source)) = (&facts.config, facts.deployment().and_then(source)) else {
        return Ok(None);
    };
    parse(map, &source).map(Some)
}

/// The behaviour in a ConfigMap.
///
/// # Errors
/// It does not hold: the reason.
pub(super) fn parse(map: &ConfigMap, Source { name, key }: &Source) -> Result<Config, String> {
    let text = map.data.as_ref().and_then(|data| data.get(key));
    let text = text.ok_or_else(|| format!("the ConfigMap {name} has no {key}"))?;
    Config::parse(text, &format!("ConfigMap {name}, {key}")).map_err(|error| error.to_string())
}

/// Where its certificate comes from.
pub(super) fn certificates(deployment: &Deployment) -> Certificates {
    match flag(deployment, "--tls-secret", "CURFEW_TLS_SECRET") {
        Some(name) => Certificates::Own(name),
        None => {
            let secrets =
                volumes(deployment).iter().filter_map(|volume| volume.secret.as_ref()?.secret_name.clone());
            Certificates::Files(secrets.collect())
        }
    }
}

/// The Secrets that hold it.
pub(super) fn secrets(deployment: &Deployment) -> Vec<String> {
    match certificates(deployment) {
        Certificates::Own(name) => vec![name],
        Certificates::Files(names) => names,
    }
}

/// The file its behaviour is in; none where it goes by the built-in one.
pub(super) fn file(deployment: &Deployment) -> Option<String> {
    flag(deployment, "--config", "CURFEW_CONFIG")
}

/// Where its behaviour stands.
pub(super) fn source(deployment: &Deployment) -> Option<Source> {
    let file = file(deployment)?;
    let (folder, key) = file.rsplit_once('/')?;
    let mounts = container(deployment)?.volume_mounts.iter().flatten();
    let mount = mounts.into_iter().find(|mount| mount.mount_path.trim_end_matches('/') == folder)?;
    let volume = volumes(deployment).iter().find(|volume| volume.name == mount.name)?;
    Some(Source { name: volume.config_map.as_ref()?.name.clone(), key: key.to_owned() })
}

/// Its watch runs without a webhook, as it was told to.
pub(super) fn is_watch_alone(facts: &Facts) -> bool {
    facts.ours().next().is_none() && facts.deployment().is_some_and(|one| has(one, "--no-webhook"))
}

/// The port on which its webhook answers.
pub(super) fn port(deployment: &Deployment) -> Option<String> {
    let listen = flag(deployment, "--listen", "CURFEW_LISTEN")?;
    listen.rsplit_once(':').map(|(_, port)| port.to_owned())
}

/// The account it runs under.
pub(super) fn account(deployment: &Deployment) -> String {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned())
}

/// Whether it has this flag or variable without a value.
pub(super) fn has(deployment: &Deployment, name: &str) -> bool {
    container(deployment).is_some_and(|container| container.args.iter().flatten().any(|arg| arg == name))
}

/// A flag's value, as `--flag=value` or `--flag value`, or its variable's.
pub(super) fn flag(deployment: &Deployment, flag: &str, variable: &str) -> Option<String> {
    let container = container(deployment)?;
    let args: Vec<_> = container.command.iter().chain(&container.args).flatten().collect();
    let joined = args.iter().find_map(|arg| arg.strip_prefix(flag)?.strip_prefix('='));
    let apart = || args.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1].as_str());
    let variable = || container.env.iter().flatten().find(|one| one.name == variable)?.value.as_deref();
    joined.or_else(apart).or_else(variable).map(str::to_owned)
}

fn container(deployment: &Deployment) -> Option<&Container> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()
}

fn volumes(deployment: &Deployment) -> &[Volume] {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::tests::{deployment, facts};

    fn with(args: Value, env: Value) -> Deployment {
        let mut made = serde_json::to_value(deployment("curfew", 2)).expect("JSON");
        let container = &mut made["spec"]["template"]["spec"]["containers"][0];
        (container["args"], container["env"]) = (args, env);
        serde_json::from_value(made).expect("a Deployment")
    }

    #[test]
    fn flags_are_read_however_they_are_written() {
        let env = json!([{"name": "CURFEW_TLS_SECRET", "value": "by-env"}]);
        for (args, env, secret) in [
            (json!(["serve", "--tls-secret=joined"]), json!([]), "joined"),
            (json!(["serve", "--tls-secret", "apart"]), json!([]), "apart"),
            (json!(["serve"]), env, "by-env"),
        ] {
            assert_eq!(certificates(&with(args, env)), Certificates::Own(secret.to_owned()));
        }
        let files = Certificates::Files(vec!["curfew-tls".to_owned()]);
        assert_eq!(certificates(&with(json!(["serve", "--tls-cert=/a"]), json!([]))), files);
    }

    #[test]
    fn the_port_is_what_its_address_ends_with() {
        for listen in ["--listen=0.0.0.0:10260", "--listen=[::]:10260"] {
            assert_eq!(port(&with(json!(["serve", listen]), json!([]))).as_deref(), Some("10260"));
        }
        assert_eq!(port(&with(json!(["serve"]), json!([]))), None);
    }

    #[test]
    fn the_behaviour_is_where_its_flag_leads() {
        let source = source(&deployment("curfew", 2)).expect("a source");
        assert_eq!((source.name.as_str(), source.key.as_str()), ("curfew", "config.yaml"));
        assert_eq!(of(&facts()).expect("settings").reaper.image, "r.example/curfew-reaper:1");
    }
}
