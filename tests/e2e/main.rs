//! podseal as its users have it: a real node, the chart installed by helm, and job
//! pods that build images. `make e2e` runs these tests, as root.
//!
//! One node and one release serve all tests; each test has namespaces of its own. A
//! test that disturbs the others has the node to itself, see [`site::Site::alone`].

mod book;
mod figures;
mod fuse_device;
mod job;
mod job_shapes;
mod network_policy;
mod nodes;
mod profiles;
mod registry;
mod site;
mod symptoms;
