//! Sidecars that nobody here wrote, as the programs they are: Dapr with its own injector and control plane, Google's Cloud
//! SQL Auth Proxy; and Vault's agent, of which there is a stand-in only ([tests/real](../../../real/README.md)).

pub(crate) mod cloud_sql;
mod dapr;
mod vault;
