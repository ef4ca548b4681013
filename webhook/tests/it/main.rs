//! Curfew's decisions from the outside: the corpus through every way in, and what holds for every input.

mod captured;
mod corpus;
mod entries;
mod explain;
mod manifests;
mod native;
mod places;
mod properties;
mod reaper;
mod support;
mod webhook;
