//! What `podseal audit` prints for programs, and that none of it is harmful.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use super::log::{HOSTILE_USER, audited, log};
use super::{printed, summary};

const SCHEMA: &str = include_str!("../../../docs/audit-summary.schema.json");
const PAGE: &str = include_str!("../../../docs/audit.md");

#[test]
fn json_fits_its_schema_and_the_page_has_every_field() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let id = schema["$id"].as_str().expect("an id").to_owned();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler.add_resource(&id, schema.clone()).expect("a URL");
    let index = compiler.compile(&id, &mut schemas).expect("a schema");
    let all = [
        "--decision",
        "allow",
        "--decision",
        "mutate",
        "--decision",
        "deny",
    ];
    for (args, log) in [(&[][..], log()), (&all, log()), (&[], String::new())] {
        let summary = summary(args, &log);
        if let Err(error) = schemas.validate(&summary, index) {
            panic!("{error}\n{summary:#}");
        }
    }
    let documented: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(field, _)| field)
        .collect();
    for field in schema["properties"].as_object().expect("properties").keys() {
        assert!(
            documented.contains(&field.as_str()),
            "{field} is not in docs/audit.md"
        );
    }
}

#[test]
fn csv_has_a_row_for_each_listed_request_and_no_formula() {
    let rejected = audited("enforce");
    let mut hostile: Value = serde_json::from_str(&rejected).expect("JSON");
    hostile["user"] = HOSTILE_USER.into();
    hostile["uid"] = "another".into();
    let printed = printed(&["-o", "csv"], &format!("{rejected}\n{hostile}\nother\n"));
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert!(PAGE.contains(lines[0]), "docs/audit.md lacks {}", lines[0]);
    let columns = lines[0].split(',').count();
    // No field before the controls has a comma.
    let row: Vec<_> = lines[1].split(',').collect();
    assert!(row.len() >= columns, "{printed}");
    assert_eq!(
        &row[1..4],
        ["rejected", "enforce", "platform_images/playground"]
    );
    assert_eq!(row[16], "hostNamespaces privileged");
    assert!(lines[2].contains(",\"'=cmd|"), "{printed}");
}

#[test]
fn nothing_in_a_record_controls_a_terminal_or_forges_a_line() {
    let hostile = "x\r\n\u{1b}]0;t\u{7}\u{9b}31m\u{202e}\u{2028}\0".repeat(60);
    let mut record: Value = serde_json::from_str(&audited("enforce")).expect("JSON");
    let fields = record.as_object_mut().expect("an object");
    for (name, value) in fields {
        let is_kept = ["schema", "time", "webhook", "mode", "decision"].contains(&name.as_str());
        if value.is_string() && !is_kept {
            *value = hostile.clone().into();
        }
    }
    record["controls"] = vec![hostile.clone(); 500].into();
    record["warnings"] = vec![hostile.clone(); 500].into();
    record["cautions"] = vec![json!({"id": hostile, "text": hostile}); 500].into();
    let log = format!("{record}\n");
    for args in [
        &[][..],
        &["-o", "json"],
        &["-o", "csv"],
        &["-f"],
        &["-f", "-o", "json"],
    ] {
        let printed = printed(args, &log);
        let harmful = |c: &char| c.is_control() && *c != '\n' || "\u{202e}\u{2028}".contains(*c);
        assert_eq!(printed.chars().find(harmful), None, "{args:?}: {printed}");
        let lines = printed.lines().count();
        assert!(
            lines < 250 && printed.len() < 100_000,
            "{args:?}: {printed}"
        );
    }
}
