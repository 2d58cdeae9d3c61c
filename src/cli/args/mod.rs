//! Arguments that several commands share.
//!
//! | file | what it does |
//! |---|---|
//! | `policy` | profiles and namespace rules |
//! | `namespaces` | the file of `--namespaces` |
//! | `kubeconfig` | the configuration of the Kubernetes client |
//! | `listen` | the addresses of ports, and opens them |
//! | `log` | the format and the level of the log |
//! | `namespace` | the name of a namespace |
//! | `output_format` | text or JSON |
//! | `time` | a duration |

pub(super) mod kubeconfig;
pub(super) mod listen;
pub(super) mod log;
pub(super) mod namespace;
pub(super) mod namespaces;
pub(super) mod output_format;
pub(super) mod policy;
pub(super) mod time;
