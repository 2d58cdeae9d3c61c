//! Arguments that several commands share.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | profiles and namespace rules |
//! | `namespaces` | the file of `--namespaces` |
//! | `kubeconfig` | the configuration of the Kubernetes client |
//! | `time` | a duration |

pub(super) mod kubeconfig;
pub(super) mod namespaces;
pub(super) mod policy;
pub(super) mod time;
