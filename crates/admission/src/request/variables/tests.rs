//! Which lists are set aside, and that reviews are read the same either way.

use super::super::RequestError;
use super::super::size::Size;
use super::*;

/// A review whose pod has `list` as the variables of `build`, and `rest`.
fn review(list: &str, rest: &str) -> String {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"u",
        "namespace":"ci","operation":"CREATE","object":{{"spec":{{"containers":[
        {{"name":"build","env":[{list}]}}]}}{rest}}}}}}}"#
    )
}

/// Whether the variables of `body` are set aside. It is read the same either way.
fn is_set_aside(body: &str) -> bool {
    let shown = |request: Result<Request<'_>, RequestError>| match request {
        Ok(request) => format!("{request:?}"),
        Err(error) => error.to_string(),
    };
    let mut room = String::new();
    let size = Size::of(body.as_bytes());
    let read = shown(Request::of_size(body.as_bytes(), size, Some(&mut room)));
    assert_eq!(read, shown(Request::from_review(body.as_bytes())), "{body}");
    Variables::set_aside(body, &mut String::new()).is_some()
}

#[test]
fn variables_are_set_aside_in_any_order_with_any_escapes_and_fields() {
    for list in [
        r#"{"name":"HOME","value":"/a"}"#,
        r#"{"name":"HOME"}"#,
        r#"{"name":"HOME","value":""},{},null,{"value":null,"name":null}"#,
        r#"{"value":"/a","name":"HOME"}"#,
        r#"{ "name" : "HOME" , "value" : "/a" },{"name":"é\u00e9\n","value":"\"\\\/ \u2028"}"#,
        r#"{"name":"\u0048OME","value":"/a"},{"name":"HOME","value":"/b"}"#,
        r#"{"name":"HOME","valueFrom":{"fieldRef":{"fieldPath":"x","env":[{"name":"A"}]}}}"#,
        r#"{"name":"HOME","later":[1e999,{"env":[{"a":{"b":[[[]]]}}]}]},{"name":"A"}"#,
    ] {
        assert!(is_set_aside(&review(list, "")), "{list}");
    }
}

#[test]
fn the_last_variable_of_a_name_applies_however_its_name_is_written() {
    let list = r#"{"name":"HOME","value":"/a"},{"value":"/b","name":"\u0048OM\u0045"},{}"#;
    let body = review(list, "");
    let mut room = String::new();
    let size = Size::of(body.as_bytes());
    let request = Request::of_size(body.as_bytes(), size, Some(&mut room)).expect("a review");
    let pod = request.object.expect("a pod");
    let (index, var) = pod.spec.containers[0].env("HOME").expect("a variable");
    assert_eq!((index, var.value.as_deref()), (1, Some("/b")));
    assert!(!room.is_empty() && !room.contains("HOM"));
}

#[test]
fn a_list_that_is_not_valid_is_the_parsers() {
    let deep = format!(r#"{{"name":{}"#, "[".repeat(200));
    for list in [
        r#"{"name":"A","name":"B"}"#,
        r#"{"name":"A","value":"b","value":"c"}"#,
        r#"{"name":7}"#,
        r#"{"name":"A","value":{}}"#,
        r#"{"name":"\ud800"}"#,
        r#"{"name":"A","value":"\x"}"#,
        "{\"name\":\"A\tB\"}",
        "{\"name\":\"A\",\"value\":\"\n\"}",
        r#"{"name":"A"},"#,
        r#"{"name":"A"},,{"name":"B"}"#,
        r#"{"name":"A"}{"name":"B"}"#,
        r#"{"name":"A"}}"#,
        r#"{"name":"A"},["B","c"]"#,
        r#"{"name":"A"},"B""#,
        r#"{"name":"A""#,
        r#"{"name":"A","value":"b"#,
        r#"{"name":"A",}"#,
        &deep,
    ] {
        assert!(!is_set_aside(&review(list, "")), "{list}");
    }
    // Valid, and written as the API server does not.
    assert!(!is_set_aside(&review(r#"{"name":"A"} "#, "")));
    assert!(!is_set_aside(&review(r#" {"name":"A"}"#, "")));
    assert!(!is_set_aside(&review("", "")));
}

#[test]
fn lists_of_that_name_elsewhere_mean_what_they_mean_to_the_parser() {
    let list = r#""env":[{"name":"A","value":"b"}]"#;
    for rest in [
        format!(r#","status":{{{list}}}"#),
        format!(r#","metadata":{{"labels":{{{list}}}}}"#),
        r#","metadata":{"annotations":{"\"env":[{"name":"A"}]}}"#.to_owned(),
        r#","metadata":{"annotations":{"a":"\"env\":[{\"name\":\"A\"}]"}}"#.to_owned(),
        format!(r#","spec":{{"volumes":[{{{list}}}]}}"#),
        format!(r#","oldObject":{{"spec":{{"containers":[{{{list}}}]}}}}"#),
        format!(r#","metadata":{{"name":"x"{list}}}"#),
        format!(r#","metadata":{{"name":{list}}}"#),
        format!(r#","metadata":{{{list},{list}}}"#),
    ] {
        assert!(is_set_aside(&review(r#"{"name":"B"}"#, &rest)), "{rest}");
    }
    // A container with two lists, and lists of every kind of container.
    assert!(is_set_aside(
        &review("", "").replace(r#""env":[]"#, &format!("{list},{list}"))
    ));
    let all =
        format!(r#""initContainers":[{{{list}}}],"ephemeralContainers":[{{{list}}},{{{list}}}],"#);
    let body = review(r#"{"name":"B"}"#, "").replace(r#""containers""#, &(all + r#""containers""#));
    assert!(is_set_aside(&body));
}

#[test]
fn a_variable_cannot_be_named_as_those_in_the_place_of_a_list() {
    let real = r#""env":[{"name":"A"}]"#;
    let before = |env: &str| {
        let other = format!(r#""initContainers":[{{{env}}}],"containers""#);
        review(r#"{"name":"B"}"#, "").replace(r#""containers""#, &other)
    };
    assert!(is_set_aside(&before(real)));
    assert!(!is_set_aside(&before(
        &real.replace('A', "podseal.io/variables#1")
    )));
    // With an escape it is not the text that is compared.
    assert!(is_set_aside(&before(
        &real.replace('A', r"podseal.io\/variables#1")
    )));
    assert!(is_set_aside(&before(
        r#""env": [{"name":"podseal.io\/variables#0"}]"#
    )));
}

#[test]
fn a_control_character_is_found_wherever_it_is_and_nothing_else_is_taken_for_one() {
    for around in [b' ', b'x', 0x7f, 0x80, 0xff] {
        for length in 0..20 {
            assert!(!has_control(&vec![around; length]));
            for (at, byte) in (0..length).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut text = vec![around; length];
                text[at] = byte;
                assert_eq!(has_control(&text), byte < 0x20, "{text:?}");
            }
        }
    }
}
