//! The server from outside: real sockets, real TLS, an admission logic that is none.

#![allow(clippy::unwrap_used, reason = "what cannot be done in a test fails it")]

mod client;
mod drain;
mod http;
mod limits;
mod process;
mod tls;
