//! A log, as `podseal audit` reads it: no input causes a panic, a control character in the
//! output, or invalid JSON.
//!
//! The first byte selects the output; the rest is the log.

#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use podseal::cli::audit::{AuditArgs, summarize};
use podseal::cli::{Cli, Command};
use serde_json::Value;

static OUTPUTS: LazyLock<[(&str, AuditArgs); 3]> = LazyLock::new(|| {
    ["json", "text", "csv"].map(|output| {
        let cli = Cli::parse_from(["podseal", "audit", "--output", output]);
        match cli.command {
            Command::Audit(args) => (output, args),
            _ => unreachable!("it is the command"),
        }
    })
});

/// The first character that could break a line or obey a terminal, beyond the colours that
/// the output has itself.
fn strange(output: &str) -> Option<char> {
    let mut rest = output;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\n') {
        let colour = rest[at..].strip_prefix("\u{1b}[");
        let end = colour.and_then(|colour| colour.find(|c: char| !matches!(c, '0'..='9' | ';')));
        match (colour, end) {
            (Some(colour), Some(end)) if colour[end..].starts_with('m') => rest = &colour[end..],
            _ => return rest[at..].chars().next(),
        }
    }
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    output.chars().find(|&c| turns(c))
}

fuzz_target!(|bytes: &[u8]| {
    let [output, log @ ..] = bytes else {
        return;
    };
    let (name, args) = &OUTPUTS[usize::from(*output) % OUTPUTS.len()];
    // A log that cannot be decompressed to its end is an error, and no panic.
    let Ok(output) = summarize(args.clone(), Cursor::new(log.to_vec())) else {
        return;
    };
    let text = String::from_utf8(output).expect("the output is text");
    assert_eq!(strange(&text), None, "{text:?}");
    if *name == "json" {
        let summary: Value = serde_json::from_str(&text).expect("it is JSON");
        assert!(summary.is_object(), "{text}");
    }
});
