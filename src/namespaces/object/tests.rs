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
        Event::read(&mut json, &BTreeSet::new()).await
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
    let end = run(read_page(&mut json, &BTreeSet::new(), |object| {
        objects.push(object);
    }));
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
        (r#"{"type": "ADDED"}"#, "has no type or no object"),
        (r#"{"object": {"metadata": {"name": "ci"}}}"#, "has no type"),
        (
            r#"{"type": "ADDED", "object": {"metadata": {}}}"#,
            "has no name",
        ),
        (r#"{"type": "GONE", "object": {}}"#, "an unknown type"),
        (
            r#"{"type": "ADDED", "object": {"metadata": {"name"#,
            "truncated",
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
