//! Test instruments of Curfew.
//!
//! * [`standin`]: a proxy that answers as a mesh's admin port does, and misbehaves on request.
//! * [`demo`]: pods of k6-operator and a mesh, patched by the webhook, run as local processes.
//! * [`bench`]: measures the wrapper; [`stats`] and [`report`] are for every benchmark.
//! * [`duration`]: durations as they are written on command lines (`300ms`, `2s`, `1.5s`).

pub mod bench;
pub mod demo;
pub mod duration;
pub mod report;
pub mod standin;
pub mod stats;
