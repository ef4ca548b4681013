//! Ports that speak plain text with what is outside of the mesh: k6's control API.
//!
//! The operator asks every runner in plain HTTP before it makes the starter, usually from outside of the mesh, which a
//! strict mesh refuses. So the port is kept out of it on both ends: a starter inside of the mesh would speak mTLS to a
//! port that no longer does (measured: 503, and its curl ends with 0).

use super::{Context, ControlPort, K6_CONTROL_PORT, Survey, Wishes, prepare::Own, strategy::Choice};
use crate::{
    catalogue::{Bypass, PortList, lists_port, with_port},
    pod::Pod,
};

/// Keeps the workload's plain ports out of the mesh, where an injector still has to read that.
pub(super) fn keep_out(
    pod: &Pod<'_>,
    survey: &Survey<'_>,
    wishes: &Wishes<'_>,
    context: Context<'_>,
    choice: &mut Choice,
) {
    let Some(plain) = survey.workload.map(|row| &row.plain_ports) else { return };
    for port in &plain.inbound {
        if wishes.k6_control_port == ControlPort::Mesh {
            choice.notes.push(format!(
                "port {port} stays in the mesh, as {K6_CONTROL_PORT} is `mesh`: where the mesh demands mTLS, give \
                 the operator a way in (manifests/policies)"
            ));
        } else if out_of_mesh(pod, survey, wishes, context, choice, (*port, |bypass| bypass.inbound.as_ref()))
        {
            choice.notes.push(format!(
                "port {port} is kept out of the mesh: whoever reaches the pod may steer its test in plain text \
                 (manifests/policies has a NetworkPolicy)"
            ));
        }
    }
    for port in &plain.outbound {
        if wishes.k6_control_port == ControlPort::Mesh {
            choice
                .notes
                .push(format!("requests to port {port} go through the mesh, as {K6_CONTROL_PORT} is `mesh`"));
        } else if out_of_mesh(
            pod,
            survey,
            wishes,
            context,
            choice,
            (*port, |bypass| bypass.outbound.as_ref()),
        ) {
            choice.notes.push(format!(
                "requests to port {port} go past the mesh, which the runners keep out of there"
            ));
        }
    }
}

/// Whether the port is out of the mesh, once the annotations are set.
fn out_of_mesh(
    pod: &Pod<'_>,
    survey: &Survey<'_>,
    wishes: &Wishes<'_>,
    context: Context<'_>,
    choice: &mut Choice,
    (port, list): (u16, fn(&Bypass) -> Option<&PortList>),
) -> bool {
    let own = Own { pod, namespace: context.namespace };
    let injected: Vec<_> = survey.sidecars.iter().filter(|found| found.row.carries_traffic).collect();
    if !injected.is_empty() {
        // Too late to tell anybody; what was told before shows.
        let lists = injected.iter().filter_map(|found| Some((found, list(found.row.bypass.as_ref()?)?)));
        let (mut any, mut all) = (false, true);
        for (found, PortList { annotation, .. }) in lists {
            any = true;
            if !own.value(annotation).is_some_and(|value| lists_port(value, port)) {
                all = false;
                choice.warnings.push(format!(
                    "port {port} is in the mesh: {} was injected before Curfew was asked; set {annotation} yourself",
                    found.container.name
                ));
            }
        }
        return any && all;
    }
    let rows = wishes.catalogue.sidecars.iter().filter_map(|row| list(row.bypass.as_ref()?));
    for PortList { annotation, default } in rows {
        let installed = context.settings.mesh_ports.get(annotation).unwrap_or(default);
        let on_pod = pod.metadata.annotation(annotation);
        if !on_pod.is_some_and(|value| lists_port(value, port)) {
            // The annotation replaces every wider setting, so it has to hold that one, too.
            let wider = own.value(annotation).unwrap_or(installed);
            let value = if lists_port(wider, port) { wider.to_owned() } else { with_port(wider, port) };
            choice.edits.annotations.insert(annotation.clone(), value);
        }
        choice.prepared.push(annotation.clone());
    }
    true
}
