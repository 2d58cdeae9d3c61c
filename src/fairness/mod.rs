//! Fair shares of the resources that clients compete for: connections, requests,
//! reviews, memory and look-ups of namespaces.
//!
//! | file | what it does |
//! |---|---|
//! | [`peer`] | which addresses count as one client |
//! | [`budget`] | an amount of memory or slots that all requests share |
//! | [`caller`] | the shares of one peer, over all its connections |

pub mod budget;
pub mod caller;
pub mod peer;
