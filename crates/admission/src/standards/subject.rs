//! What a control evaluates, and the violations that it reports.

use std::borrow::Cow;
use std::fmt;

use super::apparmor_annotations::Annotations;
use super::control::Control;
use crate::pod::place::Place;
use crate::pod::security_context::SecurityContext;
use crate::pod::{Container, Pod};
use crate::text::{SHOWN, Text, beginning, quoted};

/// The value that a [`Violation`] shows for a required field that is missing.
pub(super) const UNDEFINED: &str = "undefined";

/// One value at one place that a control forbids, borrowed from the pod.
///
/// A hostile pod can have as many violations as it has bytes, and all of them are
/// created here. So nothing of the pod is copied and no path is put together until
/// a violation is kept: [`Violation::kept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<'p> {
    /// The control.
    pub control: Control,
    /// Where: the pod itself, or a container.
    pub place: Place,
    /// The container's name; empty for the pod.
    pub container: Cow<'p, str>,
    /// The field: within the container, as `securityContext.procMount`, or from
    /// the pod's root, as `spec.hostPID`.
    pub field: FieldPath<'p>,
    /// The field's value, as it was written, so that two values are equal only
    /// if they are the same. It is untrusted text: show it with [`quoted`] or
    /// [`bounded`](crate::text::bounded). `undefined`, if the field is missing.
    pub value: Value<'p>,
}

impl Violation<'_> {
    /// An owned copy, with as much of each text as is ever shown.
    pub fn kept(&self) -> Violation<'static> {
        let kept = |text: &str| Cow::Owned(beginning(text).to_owned());
        Violation {
            control: self.control,
            place: self.place,
            container: kept(&self.container),
            field: FieldPath {
                pattern: self.field.pattern,
                key: self.field.key.as_deref().map(kept),
            },
            value: Value::Text(kept(&self.value.text())),
        }
    }
}

/// The path of a field. An entry is named in brackets, escaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath<'p> {
    /// The path, with `[]` where an entry's name is put.
    pattern: &'static str,
    key: Option<Cow<'p, str>>,
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, self.pattern.split_once("[]")) {
            (Some(key), Some((list, rest))) => {
                let key = quoted(key);
                write!(f, "{list}[{}]{rest}", &key[1..key.len() - 1])
            }
            _ => f.write_str(self.pattern),
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<'p> {
    /// A text.
    Text(Cow<'p, str>),
    /// A port.
    Port(i32),
    /// A list of names.
    Names(&'p [Text<'p>]),
}

/// How many bytes of a list of names are joined to be shown.
const NAMES: usize = 2 * SHOWN;

impl Value<'_> {
    /// The value as text; of a long list of names its beginning.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Port(port) => Cow::Owned(port.to_string()),
            Value::Names(names) => {
                let mut all = String::new();
                for (index, name) in names.iter().enumerate() {
                    if all.len() > NAMES {
                        break;
                    }
                    if index > 0 {
                        all.push(',');
                    }
                    all.push_str(beginning(name));
                }
                Cow::Owned(all)
            }
        }
    }
}

impl<'p> From<&'p str> for Value<'p> {
    fn from(text: &'p str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

/// One place of a pod, for which a control of the Standards is evaluated.
pub(super) struct Subject<'s, 'p, 'a> {
    pub(super) pod: &'p Pod<'a>,
    pub(super) place: Place,
    /// The container at `place`; none for the pod.
    pub(super) container: Option<&'p Container<'a>>,
    pub(super) annotations: &'s Annotations<'p>,
    pub(super) control: Control,
    pub(super) found: &'s mut dyn FnMut(Violation<'p>),
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

    /// Whether the pod's `os` is Windows, for which most of the restricted
    /// fields may not be set. The node selector does not matter: it selects a
    /// node, and does not change what the pod may do.
    pub(super) fn is_windows(&self) -> bool {
        let os = self.pod.spec.os.as_ref();
        os.is_some_and(|os| &*os.name == "windows")
    }

    /// Whether the pod has its own user namespace, in which root is an
    /// unprivileged user on the node.
    pub(super) fn in_user_namespace(&self) -> bool {
        self.pod.spec.host_users == Some(false)
    }

    /// Reports that the control forbids `value` in `field`.
    pub(super) fn forbid(&mut self, field: &'static str, value: impl Into<Value<'p>>) {
        self.report(field, None, value.into());
    }

    /// The same for an entry of a list: the field has `[]` where its name is put.
    pub(super) fn forbid_entry(
        &mut self,
        field: &'static str,
        key: &'p str,
        value: impl Into<Value<'p>>,
    ) {
        self.report(field, Some(Cow::Borrowed(key)), value.into());
    }

    /// The same for a field of this place's `securityContext`, given as a path
    /// of the pod's.
    pub(super) fn forbid_in_context(&mut self, field: &'static str, value: impl Into<Value<'p>>) {
        let of_container = field.strip_prefix("spec.").unwrap_or(field);
        let field = if self.is_pod() { field } else { of_container };
        self.forbid(field, value);
    }

    fn report(&mut self, pattern: &'static str, key: Option<Cow<'p, str>>, value: Value<'p>) {
        let container = self.container.map(|container| &*container.name);
        (self.found)(Violation {
            control: self.control,
            place: self.place,
            container: Cow::Borrowed(container.unwrap_or_default()),
            field: FieldPath { pattern, key },
            value,
        });
    }
}
