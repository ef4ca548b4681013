//! What the end-to-end tests share: a namespace of their own on a real Kubernetes, with or without Curfew and the test
//! mesh, that waits on conditions and leaves its pods, events and logs behind when a test fails.
//!
//! ```no_run
//! # use curfew_e2e::{Setup, Shape, job};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! Setup::new("a job ends").curfew().mesh(Shape::Linkerd).run(async |space| {
//!     space.apply(job("work", "sleep 1")).await?;
//!     space.job_completes("work").await
//! }).await
//! # }
//! ```

mod artefacts;
mod authority;
mod handshakes;
pub mod installed;
mod look;
pub mod machine;
mod objects;
mod setup;
mod space;
mod work;

pub use authority::Authority;
pub use handshakes::{BEHIND, Handshakes, Round};
pub use look::{Container, containers, ended, is_native, is_running, process_of, status_of};
pub use objects::{
    annotated, beside, beside_helper, image, image_prefix, job, pod_of, real_image, testrun, vendor,
    vendor_job, with,
};
pub use setup::{Injector, Setup, Shape, Strategy};
pub use space::{PATIENCE_FOR_A_STAGE, Space};
pub use work::WORK;
