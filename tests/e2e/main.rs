//! podseal as its users have it: a real node, the chart installed by helm, and job
//! pods that build images. `make e2e` runs these tests, as root.
//!
//! One node and one release serve most tests, each with namespaces of its own. Those that
//! would disturb others take turns on a second node, and a page of the docs has a node of
//! its own. How many tests run at once is limited there, so run them with many threads.

mod book;
mod cautions;
mod deployment;
mod doctor;
mod doctor_commands;
mod faults;
mod figures;
mod fuse_device;
mod host_network;
mod image_contents;
mod job;
mod job_shapes;
mod network_policy;
mod profiles;
mod registry;
mod replicas;
mod site;
mod symptoms;
mod test_node;
