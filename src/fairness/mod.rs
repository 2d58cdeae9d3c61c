//! Fair shares of what all clients compete for: connections, requests, reviews,
//! memory and look-ups of namespaces.
//!
//! | file | what it does |
//! |---|---|
//! | [`peer`] | which addresses count as one client |
//! | [`budget`] | an amount that requests share, and may not exceed together |
//! | [`caller`] | how much of it the connections of one peer may take |

pub mod budget;
pub mod caller;
pub mod peer;
