//! No profile's file that the chart lets through can change what else is rendered.

use serde_json::{Map, Value, json};

use crate::renderings::helm::{PODSEAL, objects};
use crate::renderings::hostile::HOSTILE;

/// Has helm render these files' texts as they are, and all else as with a plain file.
fn are_kept(files: &Map<String, Value>) -> Result<(), String> {
    let plain = json!({"profiles": {"files": {"ours": "name: ours"}}});
    let mut expected = PODSEAL.objects(&plain);
    for object in &mut expected {
        if object["data"].get("ours.yaml").is_some() {
            let keys = files.iter();
            object["data"] = keys
                .map(|(name, text)| (format!("{name}.yaml"), text.clone()))
                .collect();
        }
    }
    let rendered = PODSEAL.try_render(&json!({"profiles": {"files": files}}))?;
    assert_eq!(objects(&rendered), expected, "{files:#?}");
    Ok(())
}

/// The hostile texts but one: what ends a line for YAML 1.1 alone cannot be written
/// as it is.
fn texts() -> impl Iterator<Item = (usize, &'static str)> {
    let all = HOSTILE.into_iter().enumerate();
    all.filter(|(_, text)| !text.contains('\u{2028}'))
}

#[test]
fn no_name_of_a_file_changes_what_else_is_rendered() {
    let file = |name: &&str| (name.to_string(), json!({"name": name}).to_string().into());
    let (names, others): (Vec<_>, Vec<_>) = texts()
        .map(|(_, text)| text)
        .partition(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(names.len() > 10, "{names:?}");
    are_kept(&names.iter().map(file).collect()).expect("they are taken");
    let error = are_kept(&others.iter().map(file).collect()).expect_err("refused");
    assert!(
        error.contains("at '/profiles/files': additional properties"),
        "{error}"
    );
}

#[test]
fn no_text_of_a_file_changes_what_else_is_rendered() {
    let in_lines = |text: &str| text.replace('\n', "\n  ");
    let files = texts().flat_map(|(number, text)| {
        let [quoted, lines] = ["quoted", "lines"].map(|form| format!("{form}-{number}"));
        let as_value = json!({"name": quoted, "summary": text}).to_string();
        let as_lines = format!("name: {lines}\nsummary: |\n  a\n  {}\n", in_lines(text));
        [(quoted, as_value.into()), (lines, as_lines.into())]
    });
    are_kept(&files.collect()).expect("they are taken");
    let comments = texts().map(|(number, text)| {
        let name = format!("comment-{number}");
        let text = format!("name: {name}\n# {}", text.replace('\n', "\n# "));
        (name, text.into())
    });
    are_kept(&comments.collect()).expect("they are taken");
}
