//! Ports that speak plain text with what is outside of the mesh: k6's control API.
//!
//! The operator asks every runner in plain HTTP before it makes the starter, usually from outside of the mesh, which a
//! strict mesh refuses. So the port is kept out of it on both ends: a starter inside of the mesh would speak mTLS to a
//! port that no longer does (measured: 503, and its curl ends with 0).

use super::{Case, ControlPort, INJECT_LABEL, K6_CONTROL_PORT, strategy::Choice};
use crate::catalogue::{Bypass, PortList, lists_port, with_port};

/// Which of a mesh's two lists keeps a port out of it.
type Direction = fn(&Bypass) -> Option<&PortList>;

const INBOUND: Direction = |bypass| bypass.inbound.as_ref();
const OUTBOUND: Direction = |bypass| bypass.outbound.as_ref();

/// Keeps the workload's plain ports out of the mesh, where an injector still has to read that.
pub(super) fn keep_out(case: Case<'_>, choice: &mut Choice) {
    let Some(plain) = case.survey.workload.map(|row| &row.plain_ports) else { return };
    for port in &plain.inbound {
        if let Some(why) = stays_in(case) {
            choice.notes.push(format!(
                "port {port} stays in the mesh, as {why}: where the mesh demands mTLS, give the operator a way in \
                 (manifests/policies)"
            ));
        } else if out_of_mesh(case, *port, INBOUND, choice) {
            choice.notes.push(format!(
                "port {port} is kept out of the mesh: whoever reaches the pod may steer its test in plain text \
                 (manifests/policies has a NetworkPolicy)"
            ));
        }
    }
    for port in &plain.outbound {
        if let Some(why) = stays_in(case) {
            choice.notes.push(format!("requests to port {port} go through the mesh, as {why}"));
        } else if out_of_mesh(case, *port, OUTBOUND, choice) {
            choice
                .notes
                .push(format!("requests to port {port} go past the mesh, as runners keep it out of there"));
        }
    }
}

/// Why both ends of the ports are left in the mesh, if so. One end alone would be a test that never starts.
fn stays_in(case: Case<'_>) -> Option<String> {
    if case.wishes.k6_control_port == ControlPort::Mesh {
        return Some(format!("{K6_CONTROL_PORT} is `mesh`"));
    }
    // By a label of its own: whoever is at the other end may not have one.
    let alone = case.pod.metadata.label(INJECT_LABEL) == Some("enabled") && !case.context.namespace.labelled;
    alone.then(|| {
        format!(
            "the pod has the label {INJECT_LABEL} and its namespace has not, so the other end may be in it"
        )
    })
}

/// Whether the port is out of the mesh, once the annotations are set.
fn out_of_mesh(case: Case<'_>, port: u16, list: Direction, choice: &mut Choice) -> bool {
    match case.survey.traffic_is_free() {
        true => {
            tell(case, port, list, choice);
            true
        }
        false => was_told(case, port, list, choice),
    }
}

/// Sets the annotations of every mesh, inert where it is absent.
fn tell(case: Case<'_>, port: u16, list: Direction, choice: &mut Choice) {
    let rows =
        case.wishes.catalogue.sidecars.iter().filter_map(|row| Some((row, list(row.bypass.as_ref()?)?)));
    for (row, PortList { annotation, default }) in rows {
        let installed = case.context.settings.mesh_ports.get(annotation).unwrap_or(default);
        let on_pod = case.pod.metadata.annotation(annotation);
        if !on_pod.is_some_and(|value| lists_port(value, port)) {
            // The annotation replaces every wider setting, so it has to hold that one, too.
            let wider = case.own().value(row, annotation).unwrap_or(installed);
            let value = if lists_port(wider, port) { wider.to_owned() } else { with_port(wider, port) };
            choice.edits.annotations.insert(annotation.clone(), value);
        }
        choice.prepared.push(annotation.clone());
    }
}

/// Once a proxy is there it is too late to tell anybody; what was told before shows.
fn was_told(case: Case<'_>, port: u16, list: Direction, choice: &mut Choice) -> bool {
    let carriers = case.survey.sidecars.iter().filter(|found| found.row.carries_traffic);
    let lists = carriers.filter_map(|found| Some((found, list(found.row.bypass.as_ref()?)?)));
    let (mut any, mut all) = (false, true);
    for (found, PortList { annotation, .. }) in lists {
        any = true;
        if !case.own().value(found.row, annotation).is_some_and(|value| lists_port(value, port)) {
            all = false;
            choice.warnings.push(format!(
                "port {port} is in the mesh: {} was injected before Curfew was asked; set {annotation} yourself",
                found.container.name
            ));
        }
    }
    any && all
}
