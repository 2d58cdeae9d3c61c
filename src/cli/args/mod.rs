//! Arguments that several commands share, and what is made of them.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | profiles and namespace rules |
//! | `namespaces` | the file of namespaces |
//! | `kubeconfig` | how to reach the cluster |
//! | `time` | a length of time |

pub(super) mod kubeconfig;
pub(super) mod namespaces;
pub(super) mod policy;
pub(super) mod time;
