//! podseal's core, from the very files of `src`, without the shell.
//!
//! Everything that a fuzz target runs is built a second time, instrumented. The
//! shell would bring a TLS stack in C and a Kubernetes client with it, for
//! minutes; the core is built in seconds, and nothing else is fuzzed.

#[path = "../src/admission/mod.rs"]
pub mod admission;

#[path = "../src/webhook"]
pub mod webhook {
    //! What is made of a decision.

    pub mod record;
    pub mod response;
}
