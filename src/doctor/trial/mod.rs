//! `podseal doctor --try`: what no API tells, a job's pod does. On one node of each kind, it
//! reads what the kernel allows and builds an image.
//!
//! | file | what it does |
//! |---|---|
//! | `plan` | which pods on which nodes, as whom |
//! | `pod` | the pod, and the script in it |
//! | `observation` | what the script printed |
//! | `run` | creates, awaits, reads and deletes pods |

pub mod observation;
pub mod plan;
mod pod;
pub mod run;

use serde::Serialize;

use self::observation::Observation;

/// A pod that was tried on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The node.
    pub node: String,
    /// The namespace's profile, by which the pod was corrected.
    pub profile: String,
    /// What the script read; none where it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Outcome {
    /// The image was built.
    Built,
    /// It was not.
    Failed {
        /// What the pod, its log or its events say.
        message: String,
        /// The id of the symptom, where troubleshooting has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        symptom: Option<&'static str>,
    },
}
