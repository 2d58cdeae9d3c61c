//! `docs/troubleshooting.md` has the tables. `UPDATE=1 cargo test --lib symptoms` writes them.

use std::fmt::Write;

use super::{JOB_LOG, KUBERNETES_DENIED, NOT_ASKED, Symptom};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");

/// The comment before each table, which ends at the next empty line.
const TABLES: [(&str, &str, &[Symptom]); 3] = [
    (
        "<!-- rows: src/symptoms/job_log.rs -->\n",
        "the job log has",
        JOB_LOG,
    ),
    (
        "<!-- rows: NOT_ASKED in src/symptoms/api_server.rs -->\n",
        "the message ends in",
        NOT_ASKED,
    ),
    (
        "<!-- rows: KUBERNETES_DENIED in src/symptoms/api_server.rs -->\n",
        "the message has",
        KUBERNETES_DENIED,
    ),
];

fn with_tables(page: &str) -> String {
    let mut text = page.to_owned();
    for (comment, seen, table) in TABLES {
        let (before, after) = text.split_once(comment).expect(comment);
        let after = after.split_once("\n\n").map(|(_, after)| after);
        let mut rows = format!("| {seen} | cause | fix |\n|---|---|---|\n");
        for symptom in table {
            let Symptom {
                seen, cause, fix, ..
            } = symptom;
            let _ = writeln!(rows, "| {seen} | {cause} | {fix} |");
        }
        let after = after.map(|after| format!("\n{after}"));
        text = format!("{before}{comment}{rows}{}", after.unwrap_or_default());
    }
    text
}

#[test]
fn troubleshooting_shows_the_tables() {
    let page = std::fs::read_to_string(PATH).expect("the page");
    let expected = with_tables(&page);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, expected).expect("the page can be written");
        return;
    }
    assert!(
        page == expected,
        "docs/troubleshooting.md differs: UPDATE=1 cargo test --lib symptoms"
    );
}
