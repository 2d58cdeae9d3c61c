//! The profile: what podseal changes and allows in the job pods of a namespace.
//!
//! A profile is data. The built-ins are the YAML files in `built_in`,
//! compiled in, in the same format that users write.
//!
//! | from | by | to |
//! |---|---|---|
//! | YAML | `parse` | a [`Written`], which with the profile that it extends becomes a [`Profile`] |
//! | a profile and a namespace's settings | [`overrides`] | an [`EffectiveProfile`] |
//! | a pod, a level and a profile | [`grants`] | the violations that the profile does not grant |

mod built_in;
pub(crate) mod effective;
pub(crate) mod error;
pub mod grants;
pub mod home_path;
pub(crate) mod image_pattern;
mod origin;
pub mod overrides;
mod parse;
mod place;
mod profiles;
pub(crate) mod revision;
mod scalars;
#[cfg(test)]
mod schema;
mod scope;
pub mod security_context;
mod toleration;
mod types;

pub use self::built_in::BUILT_IN;
pub use self::effective::EffectiveProfile;
pub use self::error::ProfileError;
pub use self::parse::Written;
pub use self::place::Position;
pub use self::profiles::Profiles;
pub use self::scope::Scope;
pub use self::toleration::Toleration;
pub use self::types::{
    Capabilities, ContainerFields, ContainerRules, Grants, Home, Medium, PodFields, PodRules,
    Profile, Resources, Rules, Setting,
};
