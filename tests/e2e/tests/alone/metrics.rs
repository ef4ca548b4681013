//! What Curfew counts, as its replicas tell it by the API server's proxy.

use anyhow::Result;
use curfew_e2e::{Space, installed::replicas};

/// The series of each replica that begin so: the replica's name with the rest of the series', and the value.
pub(crate) async fn counted(space: &Space, series: &str) -> Result<Vec<(String, f64)>> {
    let mut found = Vec::new();
    for replica in replicas(space).await? {
        let path = format!("/api/v1/namespaces/curfew/pods/{replica}:9090/proxy/metrics");
        let page = space.client().request_text(http::Request::get(path).body(Vec::new())?).await?;
        let lines = page.lines().filter_map(|line| line.strip_prefix(series));
        for (name, count) in lines.filter_map(|line| line.rsplit_once(' ')) {
            found.push((format!("{replica} {name}"), count.parse()?));
        }
    }
    Ok(found)
}
