//! `curfew-noop`: succeeds at once, whatever it is called and told.
//!
//! `curfew rescue` puts it in the place of a sidecar that will not go, under the very path its command names. A program
//! of its own rather than a name of `curfew-reaper`'s, which under a wrong name must never look like success.

fn main() {}
