//! What is known of sidecars, workloads and other wrappers: data, one file each, embedded in the binary and
//! extended by the user's own rows of the same schema.
//!
//! A new mesh is a new file under `webhook/catalogue/` and a case in the corpus; no code.

mod bypass;
mod endpoint;
mod evidence;
mod hold;
mod image;
mod key;
mod load;
mod native;
mod port;
mod sidecar;
mod workload;

pub use bypass::{Bypass, PortList, lists_port, with_port};
pub use endpoint::{Endpoint, EndpointError};
pub use evidence::Evidence;
pub use hold::{Held, Hold};
pub use image::repository;
pub use load::{BrokenRow, Catalogue, Rows, user_rows};
pub use native::Native;
pub use port::{Port, PortSource};
pub use sidecar::{Resolved, Settings, Shutdown, Sidecar};
pub use workload::{JobName, Match, PlainPorts, Workload, Wrapper};
