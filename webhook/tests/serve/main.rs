//! The server from outside: real sockets, real TLS, an admission logic that is none.

mod client;
mod drain;
mod http;
mod limits;
mod process;
mod tls;
