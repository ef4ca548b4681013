//! What containers that are added may use: a LimitRange, a quota or the pod's QoS class must not suffer by them.

use serde_json::{Map, Value, json};

use crate::{
    config::Settings,
    pod::{Container, Pod, Quantity},
};

/// What the reaper needs at the most, by resource. It sleeps, in half a MiB; but the runtime that starts it counts as
/// well.
const OF_REAPER: [(&str, &str); 3] = [("cpu", "10m"), ("memory", "32Mi"), ("ephemeral-storage", "4Mi")];
/// Written by the API server on pods in which a LimitRange filled something in, so that there is one.
const LIMIT_RANGER: &str = "kubernetes.io/limit-ranger";

/// Those of the largest main: an init container's request is a maximum over the pod, not a summand, so this asks
/// the cluster for nothing more, keeps the pod's QoS class, and passes every LimitRange the main passes.
pub(super) fn of_largest(
    pod: &Pod<'_>,
    mains: &[(usize, &Container<'_>)],
    settings: &Settings,
) -> Option<Value> {
    // Beside some for all containers together, what is configured may be more than those.
    if let Some(resources) = &settings.reaper.resources
        && !pod.spec.has_resources()
    {
        return Some(json!(resources));
    }
    let size = |resources: &Value, name: &str| {
        ["limits", "requests"]
            .iter()
            .filter_map(|list| Quantity::parse(&amount(resources, list, name)?))
            .next()
    };
    let with_size = mains.iter().filter_map(|(_, main)| {
        let resources = main.resources()?;
        Some(((size(&resources, "memory"), size(&resources, "cpu")), resources))
    });
    with_size
        .reduce(|largest, next| if next.0 > largest.0 { next } else { largest })
        .map(|(_, resources)| compute_only(&resources))
}

/// How much of one resource; what people write as a number (`cpu: 1`) is a quantity, too.
fn amount(resources: &Value, list: &str, name: &str) -> Option<String> {
    match resources.get(list)?.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Without devices, huge pages and claims: copying a file needs none.
fn compute_only(resources: &Value) -> Value {
    let lists = ["limits", "requests"].into_iter().filter_map(|list| {
        let amounts = resources.get(list)?.as_object()?.iter();
        let kept: Map<_, _> = amounts
            .filter(|(name, _)| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()))
            .map(|(name, amount)| (name.clone(), amount.clone()))
            .collect();
        (!kept.is_empty()).then(|| (list.to_owned(), Value::Object(kept)))
    });
    Value::Object(lists.collect())
}

/// Those of a regular container that stands by, which are summands. It has of what the others have: requests where any
/// has them, limits where all do, as a quota or a LimitRange may ask for; so the pod's QoS class stays. Where all
/// limits are there and equal to the requests, its are, too.
///
/// It is given no more than the smallest of the others, and what that has where a LimitRange may have a minimum.
pub(super) fn standing_by(pod: &Pod<'_>, others: &[&Container<'_>], settings: &Settings) -> Option<Value> {
    if pod.spec.has_resources() {
        // They are for all containers together, and the requests of these must not exceed them.
        return None;
    }
    if let Some(resources) = &settings.reaper.resources {
        return Some(json!(resources));
    }
    let theirs: Vec<_> = others.iter().map(|container| container.resources().unwrap_or_default()).collect();
    let is_ranged = pod.metadata.annotation(LIMIT_RANGER).is_some();
    let mut lists = Map::new();
    for (list, all) in [("limits", true), ("requests", false)] {
        let mut amounts = Map::new();
        for (name, enough) in OF_REAPER {
            let found: Vec<_> = theirs.iter().filter_map(|resources| amount(resources, list, name)).collect();
            let smaller = |a: String, b: String| {
                if Quantity::parse(&b) < Quantity::parse(&a) { b } else { a }
            };
            let Some(smallest) = found.iter().cloned().reduce(smaller) else { continue };
            if !all || found.len() == theirs.len() {
                let amount = if is_ranged { smallest } else { smaller(enough.to_owned(), smallest) };
                amounts.insert(name.to_owned(), amount.into());
            }
        }
        if !amounts.is_empty() {
            lists.insert(list.to_owned(), amounts.into());
        }
    }
    (!lists.is_empty()).then_some(Value::Object(lists))
}
