//! Curfew: a mutating admission webhook that lets Jobs end beside service-mesh proxies.
//!
//! [`plan`] decides, [`patch`] writes the decision as a JSON patch against the raw object, [`admission`] and
//! [`inject`] carry both to and from the API server and files, [`serve`] is the server around the former, [`watch`]
//! what it knows of the cluster, [`authority`] its certificates where it makes them itself. [`policy`] is the little of
//! it that needs no server. [`rescue`] is for pods that hang already; [`check`] and [`explain`] say of a cluster, and
//! of one object on it, what keeps them.

pub mod admission;
pub mod authority;
pub mod catalogue;
pub mod check;
pub mod cli;
pub mod config;
pub mod duration;
pub mod explain;
pub mod inject;
pub mod patch;
pub mod plan;
pub mod pod;
pub mod policy;
pub mod rescue;
pub mod serve;
pub mod watch;
