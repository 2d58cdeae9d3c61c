//! Arguments that several commands share.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | profiles and default rules |

pub(super) mod policy;
