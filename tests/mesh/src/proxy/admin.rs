//! What the admin ports of both shapes share.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use axum::Router;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Serves until told to stop; then the port is closed at once, and answers under way are finished.
pub(super) async fn serve(
    servers: &mut JoinSet<()>,
    port: u16,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    servers.spawn(async move {
        let stop = async move {
            // An error means that the other end is gone, and with it the sidecar.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
            tracing::warn!(port, "Admin port: {error}");
        }
    });
    Ok(())
}

/// Whether a peer is in this pod, as both meshes decide it.
pub(super) fn is_local(peer: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}
