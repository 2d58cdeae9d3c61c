//! What a control looks at, and what it says of it.

use std::borrow::Cow;

use super::apparmor::Annotations;
use super::standards::Control;
use crate::admission::pod::{Container, Place, Pod, SecurityContext};
use crate::admission::text::{Text, quoted};

/// What a [`Violation`] shows of a field that is missing and must not be.
pub(super) const UNDEFINED: &str = "undefined";

/// One value at one place that a control forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<'a> {
    /// The control.
    pub control: Control,
    /// Where: the pod itself, or a container.
    pub place: Place,
    /// The container's name; empty for the pod.
    pub container: Text<'a>,
    /// The field: within the container, as `securityContext.procMount`, or from
    /// the pod's root, as `spec.hostPID`. An entry is named in brackets, and
    /// escaped already.
    pub field: Cow<'static, str>,
    /// What stands there, as it was written, so that two values are equal only
    /// if they are the same. It is the author's text: [`quoted`] and
    /// [`bounded`](crate::admission::text::bounded) show it. `undefined` is
    /// what stands where nothing does.
    pub value: Text<'a>,
}

/// One place of a pod, as a control of the Standards is asked about it.
pub(super) struct Subject<'s, 'p, 'a> {
    pub(super) pod: &'p Pod<'a>,
    pub(super) place: Place,
    /// The container at `place`; none for the pod.
    pub(super) container: Option<&'p Container<'a>>,
    pub(super) annotations: &'s Annotations<'p, 'a>,
    pub(super) control: Control,
    pub(super) found: &'s mut dyn FnMut(Violation<'a>),
}

impl<'p, 'a> Subject<'_, 'p, 'a> {
    /// Whether this is the pod itself.
    pub(super) fn is_pod(&self) -> bool {
        self.place == Place::Pod
    }

    /// The pod's `securityContext`.
    pub(super) fn pod_context(&self) -> Option<&'p SecurityContext<'a>> {
        self.pod.spec.security_context.as_ref()
    }

    /// The `securityContext` at this place.
    pub(super) fn context(&self) -> Option<&'p SecurityContext<'a>> {
        match self.container {
            Some(container) => container.security_context.as_ref(),
            None => self.pod_context(),
        }
    }

    /// The container's `securityContext`: none for the pod, which has fewer
    /// fields.
    pub(super) fn container_context(&self) -> Option<&'p SecurityContext<'a>> {
        self.container?.security_context.as_ref()
    }

    /// Whether the pod says that it is for Windows, where most of the
    /// restricted fields may not be set. What the node selector says does not
    /// count: it moves a pod to a node and changes nothing of what it may do.
    pub(super) fn is_windows(&self) -> bool {
        let os = self.pod.spec.os.as_ref();
        os.is_some_and(|os| &*os.name == "windows")
    }

    /// Whether root in the pod is nobody on the node.
    pub(super) fn in_user_namespace(&self) -> bool {
        self.pod.spec.host_users == Some(false)
    }

    /// Tells that the control forbids `value` in `field`.
    pub(super) fn forbid(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        value: impl Into<Text<'a>>,
    ) {
        let container = self.container.map(|container| container.name.clone());
        (self.found)(Violation {
            control: self.control,
            place: self.place,
            container: container.unwrap_or_default(),
            field: field.into(),
            value: value.into(),
        });
    }

    /// The same for a field of this place's `securityContext`.
    pub(super) fn forbid_in_context(&mut self, field: &str, value: impl Into<Text<'a>>) {
        let parent = if self.is_pod() { "spec." } else { "" };
        self.forbid(format!("{parent}securityContext.{field}"), value);
    }
}

/// The field `list[key]`, with a key that somebody else wrote.
pub(super) fn entry(list: &str, key: &str) -> String {
    let key = quoted(key);
    format!("{list}[{}]", &key[1..key.len() - 1])
}
