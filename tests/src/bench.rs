//! The benchmark of the wrapper: what it costs around a command, how soon it starts one, what it weighs.

mod after_ready;
mod around;
mod proc;
mod waiting;
mod weight;

pub use after_ready::{Start, Waited, starts_after_ready};
pub use around::{Around, Variant, around_true};
pub use proc::status_mb;
pub use waiting::{Idle, idle};
pub use weight::{Weight, weigh};
