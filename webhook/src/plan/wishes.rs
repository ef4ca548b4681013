//! What the user asked for: annotations of the pod, defaults from its namespace and the configuration.

use std::{borrow::Cow, str::FromStr};

use super::{
    Context, ControlPort, K6_CONTROL_PORT, MAIN_CONTAINERS, NET, Net, ON_READY_TIMEOUT, OnTimeout, READ,
    READY_TIMEOUT, SIDECARS, STRATEGY, Wish, reaper,
};
use crate::{
    catalogue::{Catalogue, user_rows},
    config::WAITS,
    duration::Duration,
    pod::{Container, Pod},
};

/// What the user asked for, defaults filled in.
#[derive(Clone, Debug)]
pub struct Wishes<'a> {
    /// Wished strategy.
    pub strategy: Wish,
    /// How long a main waits for its sidecars.
    pub ready_timeout: Duration,
    /// What happens then.
    pub on_ready_timeout: OnTimeout,
    /// Whether k6's control port is in the mesh.
    pub k6_control_port: ControlPort,
    /// Whether the reaper stands by where commands are wrapped.
    pub net: Net,
    /// The containers named as mains; all that are no sidecar where empty.
    pub mains: Vec<&'a str>,
    /// The rows in force for this pod.
    pub catalogue: Cow<'a, Catalogue>,
    /// Values that could not be read, and what holds instead.
    pub warnings: Vec<String>,
}

/// Looks an annotation up on the pod, then on its namespace, and says in warnings where it stood.
struct Reader<'a> {
    pod: &'a Pod<'a>,
    context: Context<'a>,
    warnings: Vec<String>,
}

impl<'a> Wishes<'a> {
    /// Reads them. A value that cannot be read is named in a warning and the default holds.
    pub fn read(pod: &'a Pod<'a>, context: Context<'a>) -> Self {
        let defaults = &context.settings.defaults;
        let mut reader = Reader { pod, context, warnings: Vec::new() };
        let strategy = reader.parse(STRATEGY, defaults.strategy, Wish::name);
        let strategy = context.strategy.unwrap_or(strategy);
        let ready_timeout = reader.ready_timeout(defaults.ready_timeout);
        let on_ready_timeout = reader.parse(ON_READY_TIMEOUT, defaults.on_ready_timeout, OnTimeout::name);
        let k6_control_port = reader.k6_control_port(defaults.k6_control_port);
        let net = reader.parse(NET, defaults.net, Net::name);
        let catalogue = reader.catalogue();
        let mains = reader.mains(&catalogue);
        reader.unknown_annotations();
        if let Some(why) = &context.namespace.unread {
            reader.warnings.push(format!("{why}: its annotations are no defaults for this pod"));
        }
        let warnings = reader.warnings;
        Self { strategy, ready_timeout, on_ready_timeout, k6_control_port, net, mains, catalogue, warnings }
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let namespace = || self.context.namespace.annotations.get(key).map(String::as_str);
        self.pod.metadata.annotation(key).or_else(namespace).map(str::trim)
    }

    fn parse<T>(&mut self, key: &str, default: T, name: impl Fn(T) -> &'static str) -> T
    where
        T: FromStr<Err = String> + Copy,
    {
        match self.get(key).map(T::from_str) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.warnings.push(format!("{key}: {error}; {} holds", name(default)));
                default
            }
        }
    }

    fn ready_timeout(&mut self, default: Duration) -> Duration {
        let Some(text) = self.get(READY_TIMEOUT) else { return default };
        match text.parse::<Duration>() {
            Ok(wait) if WAITS.contains(&wait.as_std()) => wait,
            Ok(_) => {
                self.warnings
                    .push(format!("{READY_TIMEOUT}: `{text}` is not from 1s to 24h; {default} holds"));
                default
            }
            Err(error) => {
                self.warnings.push(format!("{READY_TIMEOUT}: {error}; {default} holds"));
                default
            }
        }
    }

    /// From the namespace alone. A runner out of the mesh and a starter in it, or the other way round, is a test that
    /// never starts and tells nobody: under Istio the starter gets 503, and its curl ends with 0 (measured).
    fn k6_control_port(&mut self, default: ControlPort) -> ControlPort {
        if self.pod.metadata.annotations.contains_key(K6_CONTROL_PORT) {
            self.warnings.push(format!(
                "{K6_CONTROL_PORT}: read from the namespace, not from a pod, as runners and starter must agree; \
                 set it there"
            ));
        }
        let Some(text) = self.context.namespace.annotations.get(K6_CONTROL_PORT) else { return default };
        text.trim().parse().unwrap_or_else(|error| {
            self.warnings.push(format!("{K6_CONTROL_PORT}: {error}; {} holds", default.name()));
            default
        })
    }

    /// Only names of containers the pod has.
    fn mains(&mut self, catalogue: &Catalogue) -> Vec<&'a str> {
        let Some(text) = self.get(MAIN_CONTAINERS) else { return Vec::new() };
        // What a pass adds is no candidate, either.
        let containers: Vec<_> =
            self.pod.spec.containers.iter().filter(|container| !reaper::is_reaper(container)).collect();
        let present: Vec<_> = containers.iter().map(|container| &*container.name).collect();
        // Sidecars are no candidates, and some will not be there in a second pass.
        let is_sidecar =
            |container: &Container<'_>| catalogue.sidecars.iter().any(|row| row.is(container, self.pod));
        let wished: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        // A namespace's default may name containers of other pods too.
        let of_pod = self.pod.metadata.annotations.contains_key(MAIN_CONTAINERS);
        for name in wished.iter().filter(|name| of_pod && !present.contains(name)) {
            let candidates: Vec<_> =
                containers.iter().filter(|c| !is_sidecar(c)).map(|container| &*container.name).collect();
            self.warnings.push(format!(
                "{MAIN_CONTAINERS}: no container `{name}` in the pod (it has {})",
                candidates.join(", ")
            ));
        }
        wished.into_iter().filter(|name| present.contains(name)).collect()
    }

    fn catalogue(&mut self) -> Cow<'a, Catalogue> {
        let rows = Cow::Borrowed(self.context.catalogue);
        let Some(text) = self.get(SIDECARS) else { return rows };
        match user_rows(text) {
            Ok((own, broken)) => {
                self.warnings.extend(broken.iter().map(|row| format!("{SIDECARS}: {row}; the others hold")));
                let mut rows = rows.into_owned();
                rows.extend(own, Vec::new());
                Cow::Owned(rows)
            }
            Err(error) => {
                self.warnings.push(format!("{SIDECARS}: no YAML list of catalogue rows: {error}"));
                rows
            }
        }
    }

    fn unknown_annotations(&mut self) {
        for key in self
            .pod
            .metadata
            .annotations
            .keys()
            .map(|key| &**key)
            .filter(|key| key.starts_with("curfew.dev/"))
        {
            if !READ.contains(&key) && ![super::STATUS, super::DONE_ANNOTATION].contains(&key) {
                self.warnings.push(format!("{key}: no annotation of Curfew (it reads {})", READ.join(", ")));
            }
        }
    }
}
