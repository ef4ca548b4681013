//! Curfew's decisions from the outside: the corpus through every way in, and what holds for every input.

mod captured;
mod corpus;
mod entries;
mod manifests;
mod native;
mod properties;
mod support;
mod webhook;
