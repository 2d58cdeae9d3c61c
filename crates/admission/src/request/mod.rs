//! Reads a request from the bytes of an `AdmissionReview`.

pub(crate) mod impossible;
pub mod size;
mod variables;

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use self::size::{Excess, Size};
use self::variables::Variables;
use crate::pod::Pod;
use crate::pod::object::{Object, flag, object, object_or_default};
use crate::text::{Text, beginning, wrong_type};

/// The version of the API that podseal implements.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The uid of a review that no API server sent: a denial then shows no audit id.
pub const NO_UID: &str = "-";

/// What the API server asks of a webhook, borrowed from the request's bytes
/// (Kubernetes API reference, `AdmissionReview` v1).
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request<'a> {
    /// Names this review, and is echoed in the response.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// What `object` is.
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub kind: Kind<'a>,
    /// `pods/ephemeralcontainers` is the resource `pods` with a subresource.
    #[serde(borrow)]
    pub sub_resource: Option<Text<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Text<'a>,
    /// The namespace of the pod. The pod's own `metadata.namespace` may differ.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// The user that makes the request.
    #[serde(borrow, deserialize_with = "object_or_default")]
    pub user_info: UserInfo<'a>,
    /// The pod as it would be stored.
    #[serde(borrow, deserialize_with = "object")]
    pub object: Option<Pod<'a>>,
    /// The pod as it is stored, of an update.
    #[serde(borrow, deserialize_with = "object")]
    pub old_object: Option<Pod<'a>>,
    /// Whether the request is a dry run: nothing is stored.
    #[serde(deserialize_with = "flag")]
    pub dry_run: Option<bool>,
    /// Why the two pods were not read, if they have too many containers or
    /// entries.
    #[serde(skip)]
    pub excess: Option<Excess>,
}

/// Group, version and kind.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "named as in Kubernetes")]
pub struct Kind<'a> {
    #[serde(borrow)]
    pub group: Text<'a>,
    #[serde(borrow)]
    pub version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
}

/// The authenticated user.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct UserInfo<'a> {
    /// Such as `system:serviceaccount:gitlab:gitlab-runner`.
    #[serde(borrow)]
    pub username: Option<Text<'a>>,
    /// The groups the user is in.
    #[serde(borrow)]
    pub groups: Groups<'a>,
}

/// How many of a user's groups are kept.
const GROUPS: usize = 16;

/// The groups of a user. A client can put millions of them into a review; the
/// record shows the first and the number of all.
#[derive(Debug, Clone, Default)]
pub struct Groups<'a> {
    /// The first 16.
    pub first: Vec<Text<'a>>,
    /// How many there are.
    pub count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Groups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GroupsVisitor;
        impl<'de> Visitor<'de> for GroupsVisitor {
            type Value = Groups<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Groups<'de>, A::Error> {
                let mut groups = Groups::default();
                while let Some(group) = list.next_element::<Text<'de>>()? {
                    groups.count += 1;
                    if groups.first.len() < GROUPS {
                        groups.first.push(group);
                    }
                }
                Ok(groups)
            }
            fn visit_unit<E>(self) -> Result<Groups<'de>, E> {
                Ok(Groups::default())
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Groups<'de>, E> {
                Err(wrong_type(text, &self))
            }
        }
        deserializer.deserialize_any(GroupsVisitor)
    }
}

/// Why podseal cannot answer a review.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or a field of the wrong type.
    #[error("the body is no AdmissionReview: {0}")]
    Json(serde_json::Error),
    /// The bytes are not text.
    #[error("the body is no AdmissionReview: it is not UTF-8: {0}")]
    Utf8(std::str::Utf8Error),
    /// Another version, or another kind.
    #[error("the body is {found}; podseal answers {API_VERSION}, kind AdmissionReview")]
    Version {
        /// The version and kind in the body.
        found: String,
    },
    /// A uid that is too long.
    #[error("request.uid is longer than {UID_LENGTH} bytes")]
    TooLong,
    /// An invalid namespace name, which might be a path to something else.
    #[error("request.namespace is not a valid namespace name")]
    Namespace,
    /// No `request`, or one without an essential field.
    #[error("the AdmissionReview has no {0}")]
    Missing(&'static str),
}

/// A UUID has 36.
pub const UID_LENGTH: usize = 128;

/// Whether `name` is a DNS label (RFC 1123), as every namespace's is; or empty,
/// as it is for what has no namespace.
pub fn is_namespace(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 63
        && name.bytes().all(|b| plain(b) || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", bound = "R: Deserialize<'de>")]
struct Envelope<'a, R> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(default, deserialize_with = "object")]
    request: Option<R>,
}

/// A request without its pods.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow, deserialize_with = "object_or_default")]
    kind: Kind<'a>,
    #[serde(borrow)]
    sub_resource: Option<Text<'a>>,
    #[serde(borrow)]
    operation: Text<'a>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "object_or_default")]
    user_info: UserInfo<'a>,
    #[serde(deserialize_with = "flag")]
    dry_run: Option<bool>,
}

impl<'a> From<Head<'a>> for Request<'a> {
    fn from(head: Head<'a>) -> Self {
        Request {
            uid: head.uid,
            kind: head.kind,
            sub_resource: head.sub_resource,
            operation: head.operation,
            namespace: head.namespace,
            user_info: head.user_info,
            dry_run: head.dry_run,
            ..Request::default()
        }
    }
}

impl<'a> Request<'a> {
    /// Reads an `AdmissionReview` of `admission.k8s.io/v1`.
    ///
    /// A field of a wrong type is an error: the API server decodes every pod
    /// before it calls a webhook, so it never sends one.
    pub fn from_review(body: &'a [u8]) -> Result<Request<'a>, RequestError> {
        Request::of_size(body, Size::of(body), None)
    }

    /// The same for a review whose size is known. Pods with too many containers
    /// or entries are not read.
    ///
    /// The request is read in half the time with `room`, an empty string, which a part of
    /// the review is written to.
    pub fn of_size(
        body: &'a [u8],
        size: Size,
        room: Option<&'a mut String>,
    ) -> Result<Request<'a>, RequestError> {
        let text = text_of(body)?;
        if size.excess.is_some() {
            return Ok(Request {
                excess: size.excess,
                ..Request::checked(read::<Head<'a>>(text)?.into())?
            });
        }
        if let Some(room) = room.filter(|_| size.has_room)
            && let Some(variables) = Variables::set_aside(text, room)
            && let Ok(mut request) = read::<Request<'a>>(room)
        {
            variables.put_back(&mut request);
            return Request::checked(request);
        }
        Request::checked(read::<Request<'a>>(text)?)
    }

    /// The same, without reading the pods.
    pub fn without_pods(body: &'a [u8]) -> Result<Request<'a>, RequestError> {
        Request::checked(read::<Head<'a>>(text_of(body)?)?.into())
    }

    fn checked(request: Request<'a>) -> Result<Request<'a>, RequestError> {
        if request.uid.is_empty() {
            return Err(RequestError::Missing("request.uid"));
        }
        if request.uid.len() > UID_LENGTH {
            return Err(RequestError::TooLong);
        }
        if request
            .namespace
            .as_deref()
            .is_some_and(|name| !is_namespace(name))
        {
            return Err(RequestError::Namespace);
        }
        if request.operation.is_empty() {
            return Err(RequestError::Missing("request.operation"));
        }
        Ok(request)
    }

    /// The request that creating `pod` in `namespace` would make.
    pub fn create(pod: Pod<'a>, namespace: &'a str) -> Request<'a> {
        Request {
            kind: Kind {
                group: "".into(),
                version: "v1".into(),
                kind: "Pod".into(),
            },
            operation: "CREATE".into(),
            namespace: Some(namespace.into()),
            object: Some(pod),
            ..Request::default()
        }
    }

    /// What the request does to a pod.
    pub fn act(&self) -> Act {
        let Kind {
            group,
            version,
            kind,
        } = &self.kind;
        let is_pod = group.is_empty() && &**version == "v1" && &**kind == "Pod";
        match (
            is_pod,
            &*self.operation,
            self.sub_resource.as_deref().unwrap_or_default(),
        ) {
            (true, "CREATE", "") => Act::Create,
            (true, "UPDATE", "" | "ephemeralcontainers" | "resize") => Act::Update,
            _ => Act::Other,
        }
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        self.user_info.username.as_deref().unwrap_or_default()
    }
}

/// The body as text: checked once as a whole, which is faster than string by string.
fn text_of(body: &[u8]) -> Result<&str, RequestError> {
    std::str::from_utf8(body).map_err(RequestError::Utf8)
}

/// Reads the `request` of an `AdmissionReview`.
fn read<'a, R: Deserialize<'a>>(text: &'a str) -> Result<R, RequestError> {
    let envelope = serde_json::from_str::<Object<Envelope<'a, R>>>(text);
    let Object(envelope) = envelope.map_err(RequestError::Json)?;
    let (version, kind) = (&*envelope.api_version, &*envelope.kind);
    if version != API_VERSION || kind != "AdmissionReview" {
        let found = match (version, kind) {
            ("", "") => "without apiVersion and kind".to_owned(),
            _ => format!("{}, kind {}", beginning(version), beginning(kind)),
        };
        return Err(RequestError::Version { found });
    }
    envelope.request.ok_or(RequestError::Missing("request"))
}

/// What a request does to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Creates it.
    Create,
    /// Changes its spec or its metadata, adds an ephemeral container, or
    /// resizes it.
    Update,
    /// Neither.
    Other,
}
