//! `podseal doctor --try`: what no API tells, a job's pod does. On one node of each kind, it
//! reads what the kernel allows and builds an image.
//!
//! | file | what it does |
//! |---|---|
//! | `plan` | which pods on which nodes, as whom |
//! | `pod` | the pod, and the script in it |
//! | `observation` | what the script printed |
//! | `run` | creates, awaits and reads pods |
//! | `outcome` | how one ended |
//! | `remove` | deletes them |

pub mod observation;
mod outcome;
pub mod plan;
mod pod;
pub mod remove;
pub mod run;

use serde::Serialize;

use self::observation::Observation;
use crate::doctor::needs::Needs;
use crate::doctor::objects::Pod;

/// A pod that was tried on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The node.
    pub node: String,
    /// The namespace's profile, by which the pod was corrected.
    pub profile: String,
    /// What that needs in this namespace.
    #[serde(skip)]
    pub needs: Needs,
    /// What the script read; none where it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// How it ended.
    pub outcome: Outcome,
    /// The pod, where it could not be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// A pod that is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Why it could not be deleted.
    pub why: String,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Outcome {
    /// The image was built.
    Built,
    /// The script ran, and the build failed.
    Failed {
        /// What the log says.
        message: String,
        /// The id of the symptom, where troubleshooting has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        symptom: Option<&'static str>,
    },
    /// Nothing was built or failed to, so nothing is known.
    NotTried {
        /// Why.
        message: String,
        /// The id of the symptom, where troubleshooting has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        symptom: Option<&'static str>,
    },
}

/// Whether a pod is of a trial.
pub(super) fn is_of_trial(pod: &Pod) -> bool {
    pod.metadata.labels.contains_key(crate::doctor::TRIAL_LABEL)
}
