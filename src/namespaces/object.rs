//! Namespaces as the API server sends them, read for what podseal keeps.
//!
//! | of | is kept |
//! |---|---|
//! | labels | those that podseal reads, and those that namespace rules ask for |
//! | annotations | those that podseal reads |
//! | others under `podseal.io/` | the keys of [`KEPT`] of them, for the warning that names them |
//!
//! Everything else goes by without being held, since anyone who may edit namespaces
//! may write as much of it as etcd takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kubernetes::json_stream::{JsonStream, StreamError};
use admission::namespace::Namespace;
use admission::namespace::unknown_keys::{KEPT, Kind, is_known};

/// How many bytes of a value are kept: a list of some sixty runners.
const VALUE: usize = 4096;
/// What stands for a value that is longer. No profile, level, mode, user, path or
/// resource is called so, so it relaxes nothing; a denial that quotes it says
/// what is wrong.
const TOO_LONG: &str = "(longer than 4096 bytes)";
/// The longest name of an object.
const NAME: usize = 253;
/// The longest resource version, or word for an event: it is opaque, and short.
const WORD: usize = 128;
/// The longest token for the next page: it holds a version and a name.
const TOKEN: usize = 4096;
/// How much of an error's message is kept.
const MESSAGE: usize = 4096;

/// A namespace, or an error that came in its place.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object {
    /// `metadata.name`
    pub(super) name: String,
    /// `metadata.resourceVersion`
    pub(super) version: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Of a `Status`.
    pub(super) code: u16,
    /// Of a `Status`.
    pub(super) message: String,
}

/// What is said of a page as a whole.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PageEnd {
    /// The version of the list.
    pub(super) version: String,
    /// Where the next page begins; empty on the last.
    pub(super) next: String,
}

/// An event of a watch.
#[derive(Debug, PartialEq)]
pub(super) struct Event {
    pub(super) what: EventKind,
    pub(super) object: Object,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The namespace is new, or has changed.
    Present,
    /// It is gone, or opts in no more.
    Deleted,
    /// Nothing happened, up to this version.
    Bookmark,
    /// The watch ends with this `Status`.
    Error,
}

impl Object {
    /// Reads one. Of the labels those of these `keys` are kept, too.
    pub(super) async fn read(
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<Object, StreamError> {
        let mut object = Object::default();
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "metadata" => object.read_metadata(json, keys).await?,
                "code" => object.code = json.number().await?,
                "message" => {
                    let message = json.text(MESSAGE).await?;
                    object.message = message.unwrap_or_else(|| TOO_LONG.to_owned());
                }
                _ => json.skip().await?,
            }
        }
        Ok(object)
    }

    /// Reads one that is all of an answer.
    pub(super) async fn read_alone(
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<Object, StreamError> {
        let object = Object::read(json, keys).await?;
        match json.begins().await? {
            true => Err(StreamError::Invalid("something follows the object")),
            false => Ok(object),
        }
    }

    async fn read_metadata(
        &mut self,
        json: &mut JsonStream,
        keys: &BTreeSet<String>,
    ) -> Result<(), StreamError> {
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "name" => self.name = json.short_text(NAME).await?,
                "resourceVersion" => self.version = json.short_text(WORD).await?,
                "labels" => self.labels = read_pairs(json, Kind::Label, keys).await?,
                "annotations" => {
                    self.annotations = read_pairs(json, Kind::Annotation, &BTreeSet::new()).await?;
                }
                _ => json.skip().await?,
            }
        }
        Ok(())
    }
}

impl From<Object> for Namespace {
    fn from(object: Object) -> Namespace {
        Namespace {
            name: object.name,
            labels: Arc::new(object.labels),
            annotations: Arc::new(object.annotations),
        }
    }
}

async fn read_pairs(
    json: &mut JsonStream,
    kind: Kind,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, StreamError> {
    let mut kept = BTreeMap::new();
    let mut unread = 0;
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        if is_known(kind, &key) || keys.contains(&key) {
            let value = json.text(VALUE).await?;
            kept.insert(key, value.unwrap_or_else(|| TOO_LONG.to_owned()));
            continue;
        }
        if Namespace::reads(&key) && unread < KEPT {
            unread += 1;
            kept.insert(key, String::new());
        }
        json.skip().await?;
    }
    Ok(kept)
}

/// Reads a page of the list, and gives each namespace to `take`.
pub(super) async fn read_page(
    json: &mut JsonStream,
    mut take: impl FnMut(Object),
) -> Result<PageEnd, StreamError> {
    let mut end = PageEnd::default();
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        match &*key {
            "metadata" => end = read_page_metadata(json).await?,
            "items" => {
                let mut items = json.array().await?;
                while json.has_next(&mut items).await? {
                    take(named(Object::read(json, &BTreeSet::new()).await?)?);
                }
            }
            _ => json.skip().await?,
        }
    }
    match json.begins().await? {
        true => Err(StreamError::Invalid("something follows the page")),
        false => Ok(end),
    }
}

async fn read_page_metadata(json: &mut JsonStream) -> Result<PageEnd, StreamError> {
    let mut end = PageEnd::default();
    let mut members = json.object().await?;
    while let Some(key) = json.next_key(&mut members).await? {
        match &*key {
            "resourceVersion" => end.version = json.short_text(WORD).await?,
            "continue" => end.next = json.short_text(TOKEN).await?,
            _ => json.skip().await?,
        }
    }
    Ok(end)
}

impl Event {
    /// Reads one, of which type and object come in any order.
    pub(super) async fn read(json: &mut JsonStream) -> Result<Event, StreamError> {
        let (mut what, mut object) = (None, None);
        let mut members = json.object().await?;
        while let Some(key) = json.next_key(&mut members).await? {
            match &*key {
                "type" => what = Some(EventKind::of(&json.short_text(WORD).await?)?),
                "object" => object = Some(Object::read(json, &BTreeSet::new()).await?),
                _ => json.skip().await?,
            }
        }
        let (Some(what), Some(object)) = (what, object) else {
            return Err(StreamError::Invalid(
                "an event lacks its type or its object",
            ));
        };
        let object = match what {
            EventKind::Present | EventKind::Deleted => named(object)?,
            EventKind::Bookmark | EventKind::Error => object,
        };
        Ok(Event { what, object })
    }
}

impl EventKind {
    fn of(kind: &str) -> Result<EventKind, StreamError> {
        match kind {
            "ADDED" | "MODIFIED" => Ok(EventKind::Present),
            "DELETED" => Ok(EventKind::Deleted),
            "BOOKMARK" => Ok(EventKind::Bookmark),
            "ERROR" => Ok(EventKind::Error),
            _ => Err(StreamError::Invalid("an event is of no known type")),
        }
    }
}

fn named(object: Object) -> Result<Object, StreamError> {
    match object.name.as_str() {
        "" => Err(StreamError::Invalid("an object lacks its name")),
        _ => Ok(object),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::stream;
    use hyper::body::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn stream_of(text: &[u8], size: usize) -> JsonStream {
        let chunks: Vec<_> = text
            .chunks(size.max(1))
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
            .collect();
        JsonStream::new(stream::iter(chunks), Duration::from_secs(10))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        thread_local! {
            static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime");
        }
        RUNTIME.with(|runtime| runtime.block_on(future))
    }

    fn event(text: &str) -> Result<Event, String> {
        let event = run(async {
            let mut json = stream_of(text.as_bytes(), 7).of_lines();
            assert!(json.begins().await.expect("something"));
            Event::read(&mut json).await
        });
        event.map_err(|error| error.to_string())
    }

    fn object(text: &str, size: usize) -> Result<Object, StreamError> {
        let keys = BTreeSet::from(["team".to_owned()]);
        run(Object::read_alone(
            &mut stream_of(text.as_bytes(), size),
            &keys,
        ))
    }

    fn page(text: &str) -> Result<(PageEnd, Vec<Object>), String> {
        let mut objects = Vec::new();
        let mut json = stream_of(text.as_bytes(), 5);
        let end = run(read_page(&mut json, |object| objects.push(object)));
        Ok((end.map_err(|error| error.to_string())?, objects))
    }

    #[test]
    fn an_event_is_read_for_podseals_own_labels_in_any_order_of_its_fields() {
        let line = r#"{"object": {"kind": "PartialObjectMetadata", "metadata": {
            "name": "ci", "resourceVersion": "7", "managedFields": [{"manager": "x"}],
            "labels": {"podseal.io/profile": "rootless", "team": "x"},
            "annotations": {"podseal.io/runner": "a \"b\"", "podseal.example/x": "1"}}},
            "type": "ADDED"}"#;
        let Event { what, object } = event(&line.replace('\n', " ")).expect("an event");
        assert_eq!((what, &*object.version), (EventKind::Present, "7"));
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = Namespace::new(
            "ci",
            [own("podseal.io/profile", "rootless")],
            [own("podseal.io/runner", "a \"b\"")],
        );
        assert_eq!(Namespace::from(object), expected);
        let broken = event(line).expect_err("a line is one event");
        assert!(broken.contains("a line ends"), "{broken}");
    }

    #[test]
    fn an_event_that_lacks_something_is_none() {
        for (text, wrong) in [
            (r#"{"type": "ADDED"}"#, "lacks its type or its object"),
            (
                r#"{"object": {"metadata": {"name": "ci"}}}"#,
                "lacks its type",
            ),
            (
                r#"{"type": "ADDED", "object": {"metadata": {}}}"#,
                "lacks its name",
            ),
            (r#"{"type": "GONE", "object": {}}"#, "no known type"),
            (
                r#"{"type": "ADDED", "object": {"metadata": {"name"#,
                "cut off",
            ),
            ("<html>", "is missing"),
        ] {
            let said = event(text).expect_err(text);
            assert!(said.contains(wrong), "{text}: {said}");
        }
        let error =
            r#"{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}"#;
        let Event { what, object } = event(error).expect("an event");
        assert_eq!(
            (what, object.code, &*object.message),
            (EventKind::Error, 410, "too old")
        );
    }

    #[test]
    fn a_list_of_nothing_is_null_and_no_error() {
        let (end, objects) = page(
            r#"{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "9", "continue": null}, "items": null}"#,
        )
        .expect("a page");
        assert!(objects.is_empty() && end.version == "9" && end.next.is_empty());
    }

    #[test]
    fn a_page_says_where_the_next_begins_and_the_last_by_saying_nothing() {
        let of = |next: &str| {
            format!(
                r#"{{"items": [{{"metadata": {{"name": "a"}}}}, {{"metadata": {{"name": "b"}}}}],
                    "metadata": {{"resourceVersion": "9"{next}}}}}"#
            )
        };
        let (end, objects) = page(&of("")).expect("a page");
        assert_eq!((&*end.next, objects.len()), ("", 2));
        let (end, _) = page(&of(r#", "continue": "x""#)).expect("a page");
        assert_eq!(end.next, "x");
        let more = format!("{} {{}}", of(""));
        assert!(page(&more).is_err(), "something follows");
    }

    #[test]
    fn what_nothing_reads_is_kept_by_its_key_and_few_of_it() {
        let many: serde_json::Map<_, _> = (0..5000)
            .map(|number| (format!("podseal.io/x-{number}"), json!("y".repeat(50))))
            .chain([("podseal.io/home".to_owned(), json!("/h"))])
            .collect();
        let text = json!({"metadata": {"name": "ci", "annotations": many, "labels": many}});
        let object = object(&text.to_string(), 1000).expect("an object");
        assert_eq!(
            (object.annotations.len(), object.labels.len()),
            (KEPT + 1, KEPT)
        );
        assert_eq!(object.annotations["podseal.io/home"], "/h");
        let values = object.labels.values();
        assert!(values.clone().all(String::is_empty), "{:?}", object.labels);
    }

    #[test]
    fn a_value_that_is_too_long_is_none_that_means_anything() {
        for (length, is_kept) in [(VALUE, true), (VALUE + 1, false), (1 << 20, false)] {
            // The longest that JSON makes of a byte.
            let value = "<".repeat(length);
            let text = json!({"metadata": {"name": "ci",
                "annotations": {"podseal.io/runner": value}}});
            let text = text.to_string().replace('<', "\\u003c");
            let object = object(&text, 4096).expect("an object");
            let kept = &object.annotations["podseal.io/runner"];
            let expected = if is_kept { &*value } else { TOO_LONG };
            assert_eq!(kept, expected, "{length}");
        }
        assert!(TOO_LONG.contains(&VALUE.to_string()));
    }

    #[test]
    fn a_name_or_a_version_that_is_too_long_is_an_error_and_a_key_is_nothing() {
        let long = "x".repeat(10_000);
        let of = |metadata: Value| object(&json!({"metadata": metadata}).to_string(), 100);
        assert!(of(json!({"name": long})).is_err());
        assert!(of(json!({"name": "ci", "resourceVersion": long})).is_err());
        let key = format!("podseal.io/{long}");
        let read = of(json!({"name": "ci", "annotations": {key: "x"}})).expect("an object");
        assert_eq!(read.annotations, BTreeMap::new());
    }

    #[test]
    fn nothing_is_too_deep_to_be_skipped() {
        let deep = "[".repeat(1_000_000);
        let end = "]".repeat(1_000_000);
        let text = format!(r#"{{"spec": {deep}{end}, "metadata": {{"name": "ci"}}}}"#);
        assert_eq!(object(&text, 4096).expect("an object").name, "ci");
    }

    /// Any JSON, with what trips readers: escapes, brackets in strings.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = proptest::sample::select(vec![
            "",
            "x",
            "\"",
            "\\",
            "\\\"",
            "{",
            "]",
            "a\nb",
            "<\u{e9}\u{1f600}",
            "name",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let key = text.clone().prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_kept_is_the_same_whatever_surrounds_it_and_however_it_is_cut(
            foreign in prop::collection::vec(any_json(), 4),
            pretty in any::<bool>(),
            size in 1_usize..40,
        ) {
            let value = json!({
                "a": foreign[0],
                "metadata": {
                    "annotations": {"podseal.io/home": "/h\"\u{e9}", "x": "\\"},
                    "b": foreign[1],
                    "labels": {"podseal.io/level": "baseline", "team": "t", "z": "z"},
                    "name": "ci",
                    "ownerReferences": [foreign[2], "]}"],
                    "resourceVersion": "7",
                },
                "z": foreign[3],
            });
            let text = match pretty {
                true => serde_json::to_string_pretty(&value),
                false => serde_json::to_string(&value),
            };
            let text = text.expect("JSON");
            let read = object(&text, size).expect("an object");
            let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            prop_assert_eq!(read, Object {
                name: "ci".to_owned(),
                version: "7".to_owned(),
                labels: [own("podseal.io/level", "baseline"), own("team", "t")].into(),
                annotations: [own("podseal.io/home", "/h\"\u{e9}")].into(),
                ..Object::default()
            });
            // Cut off anywhere it is none.
            for end in 0..text.len() {
                if text.is_char_boundary(end) {
                    let cut = object(&text[..end], size);
                    prop_assert!(matches!(cut, Err(StreamError::Cut)), "{:?}", cut);
                }
            }
        }
    }
}
