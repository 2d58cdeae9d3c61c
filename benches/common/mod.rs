//! What the benches share.

#![allow(dead_code, reason = "not every bench uses all of it")]

pub(crate) mod identity;
pub(crate) mod pinning;
pub(crate) mod program;
pub(crate) mod server;
pub(crate) mod table;

/// Says on standard error what happens next, since it takes long.
pub(crate) fn say(what: &str) {
    use std::io::Write;
    // A closed standard error is no reason to stop measuring.
    let _ = writeln!(std::io::stderr(), "measuring {what}");
}
