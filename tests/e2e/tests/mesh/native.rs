//! What is native's own: its gate. Everything else it does is in `auto`.

use anyhow::{Context, Result, ensure};
use curfew_e2e::{Setup, Shape, ended, job};

#[tokio::test]
async fn a_proxy_that_never_gets_ready_is_the_verdict_of_the_gate() -> Result<()> {
    // Istio's has a startupProbe, with which the kubelet would restart it for ever: the gate asks in its place.
    for shape in Shape::ALL {
        Setup::new("native never ready")
            .curfew()
            .mesh(shape)
            .annotation("curfew.dev/strategy", "native")
            .option("ready-after", "never")
            .annotation("curfew.dev/ready-timeout", "3s")
            .run(async |space| {
                space.apply(job("work", "true")).await?;
                space.job_fails("work").await?;
                let gate = |pod: &_| ended(pod, "curfew-gate").is_some();
                let pod = space.pod_until("work", "has a gate that ended", gate).await?;
                let gate = ended(&pod, "curfew-gate").context("no gate")?;
                ensure!(gate.exit == Some(69) && gate.message.contains("not ready"), "{gate:?}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}
