//! How pages are read.

use support::book::page::{Step, shows, steps};

#[test]
fn an_output_is_compared_but_for_what_the_page_leaves_out() {
    assert!(shows("a …c\n", "a bc\n"));
    assert!(shows("a\n…\nz\n", "a\nb\nc\nz"));
    assert!(shows("…\nz", "z"));
    assert!(shows("…\n…x…\n…", "axb"));
    assert!(shows("…\n…x…\n…", "1\nx\n2\n3"));
    assert!(!shows("…\n…x…\n…", "1\n2"));
    assert!(!shows("a …c", "a cb"));
    assert!(!shows("a", "a\nb"));
    assert!(!shows("a\nb", "a"));
}

#[test]
fn a_page_is_read_as_its_reader_does() {
    let page = "1. Do\n\n   ```sh\n   true\n   ```\n\n<!-- output -->\n```text\nx\n```\n\
                <!-- exit 1 -->\n```sh\nfalse\n```\n<!-- setup: date -->\n\
                <!-- not run: no reason at all -->\n\n```sh\nsleep 9\n```\n<!-- serves -->\n```sh\nwait\n```\n```yaml\na: b\n```\n\
                <!-- setup on a node: date -->\n<!-- on a node -->\n```sh\nid\n```\n<!-- prints: uid=0 -->\n\
                <!-- on a node; IMAGE: echo alpine -->\n```sh\nrun IMAGE\n```\n";
    let told: Vec<String> = steps(page)
        .expect("a page")
        .into_iter()
        .map(|step| match step {
            Step::Run(run) if run.on_a_node => {
                format!(
                    "{} on a node {:?} {:?} {:?}",
                    run.line, run.script, run.word, run.output
                )
            }
            Step::Run(run) => {
                format!(
                    "{} {:?} {} {:?}",
                    run.line, run.script, run.exit, run.output
                )
            }
            Step::Serve { line, script } => format!("{line} serves {script:?}"),
            Step::Shown(block) => format!("{} {} {:?}", block.line, block.language, block.text),
        })
        .collect();
    let expected = [
        "3 \"true\\n\" 0 Some(\"x\\n\")",
        "12 \"false\\n\" 1 None",
        "15 \"date\" 0 None",
        "18 sh \"sleep 9\\n\"",
        "22 serves \"wait\\n\"",
        "25 yaml \"a: b\\n\"",
        "28 on a node \"date\" None None",
        "30 on a node \"id\\n\" None Some(\"…\\n…uid=0…\\n…\")",
        "35 on a node \"run IMAGE\\n\" Some((\"IMAGE\", \"echo alpine\")) None",
    ];
    assert_eq!(told, expected);
    for wrong in [
        "```\nx\n```\n",
        "<!-- output -->\n```text\nx\n```\n",
        "<!-- note -->\n```sh\n```\n",
        "<!-- not run: -->\n```sh\nx\n```\n",
        "<!-- on a node; WORD: echo x -->\n```sh\ny\n```\n",
        "<!-- prints: x -->\n",
    ] {
        assert!(steps(wrong).is_err(), "{wrong}");
    }
}
